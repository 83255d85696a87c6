const optional = process.env.NOT_SET && { name: 'extra', script: 'x.js' };
module.exports = [
  { name: 'api', script: 'a.js', max_memory_restart: undefined, env: { TOKEN: process.env.TOKEN }, onExit() {} },
  optional,
];
