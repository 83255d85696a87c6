const names = ['one', 'two'];
export const apps = [
  { name: 'listed', script: './a.mjs', max_restarts: 3 },
  ...names.map((name) => ({ name, script: './a.mjs', restart_delay: 5 })),
];
