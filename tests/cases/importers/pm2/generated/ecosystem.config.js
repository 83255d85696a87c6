const apps = ['mail', 'queue'].map((name) => ({ name, script: `${name}.js`, restart_delay: 5, colour: 'blue' }));
const late = { name: 'late', script: 'late.js' };
late.kill_timeout = -1;
module.exports = { apps: [...apps, late] };
