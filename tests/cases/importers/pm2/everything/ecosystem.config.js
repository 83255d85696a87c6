// An app with a bit of all that PM2 can say and systemd can do.
const path = require('node:path');
const common = { cwd: path.join(__dirname, 'api'), env: { REGION: 'eu' } };

module.exports = {
  apps: [
    {
      ...common,
      name: 'api',
      namespace: 'shop',
      script: './server.js',
      args: ['--verbose', '--title', 'a b'],
      node_args: '--max-old-space-size=512 -r "./pre load.js"',
      instances: 4,
      exec_mode: 'fork',
      increment_var: 'PORT',
      instance_var: 'WORKER',
      env: { NODE_ENV: 'development', PORT: 3000, DEBUG: false, FLAGS: { a: [1, 'x'] }, MISSING: process.env.NOPE },
      env_production: { NODE_ENV: 'production' },
      min_uptime: '5s',
      max_restarts: 10,
      restart_delay: 4000,
      stop_exit_codes: [0, 3],
      kill_timeout: 8000,
      max_memory_restart: '300M',
      uid: 'www-data',
      gid: 33,
      error_file: '/dev/null',
      watch: ['src'],
      ignore_watch: ['node_modules'],
      vizion: false,
      autostart: false,
    },
    {
      name: 'mailer',
      script: 'mail.py',
      exp_backoff_restart_delay: 100,
      treekill: false,
      port: 2525,
      env: { PORT: 25 },
      shutdown_with_message: true,
      wait_ready: true,
      log_date_format: 'YYYY-MM-DD',
    },
  ],
  deploy: { production: { user: 'me', host: 'h' } },
  static: [{ path: './public', port: 8080 }],
};
