export default { processManager: { processes: [] } }
