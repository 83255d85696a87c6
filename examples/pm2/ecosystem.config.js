// The corner shop as PM2 has it: pm2 start ecosystem.config.js
const path = require('node:path')

const shop = path.join(__dirname, '..', 'shop')
const data = path.join(__dirname, 'data')

module.exports = {
  apps: [
    {
      name: 'migrate',
      script: 'migrate.py',
      interpreter: 'python3',
      cwd: shop,
      autorestart: false,
      env: { SHOP_DATA: data }
    },
    {
      name: 'web',
      script: 'web.js',
      cwd: shop,
      env: { SHOP_DATA: data, SHOP_NAME: 'The corner shop', PORT: 8080 },
      env_production: { NODE_ENV: 'production', PORT: 80 },
      max_memory_restart: '256M',
      kill_timeout: 20000,
      restart_delay: 1000,
      max_restarts: 10
    },
    {
      name: 'worker',
      script: 'worker.py',
      interpreter: 'python3',
      cwd: shop,
      instances: 2,
      env: { SHOP_DATA: data, RECEIPT_KEY: 'not$so/secret#here', PACK_SECONDS: '0.5' }
    },
    {
      name: 'report',
      script: 'report.py',
      interpreter: 'python3',
      cwd: shop,
      autorestart: false,
      cron_restart: '* * * * *',
      env: { SHOP_DATA: data }
    }
  ]
}
