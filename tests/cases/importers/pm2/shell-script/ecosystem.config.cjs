module.exports = {
  apps: [
    { name: 'build and run', script: 'npm run build && npm start', args: '--port 80', restart_delay: 5, wait_ready: true },
    { script: 'npm start', interpreter: 'node', interpreter_args: '--trace-warnings' },
    { name: 'web', script: 'npm', args: 'start', interpreter: 'none' },
    { name: 'npm-by-node', script: 'npm', args: 'run "start it" -- --x="a b"' },
  ],
};
