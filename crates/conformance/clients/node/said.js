// The lines that the runner reads: `PASS feature`, `FAIL feature reason`, `SKIP feature reason`, `VERSION name version`.
const PATIENCE_MS = 60000
const PARTITIONS = 3
const RECORDS = 30

const line = (...words) => console.log(words.join(' ').replace(/\s+/g, ' ').trim())

// A client that waits for ever must not keep the others from their turn.
const late = () =>
  new Promise((_, reject) => setTimeout(() => reject(new Error('it did not end')), 3 * PATIENCE_MS).unref())

async function feature(name, tell) {
  try {
    await Promise.race([tell(), late()])
    line('PASS', name)
  } catch (failed) {
    line('FAIL', name, failed)
  }
}

const skip = (name, reason) => line('SKIP', name, reason)
const version = (name, number) => line('VERSION', name, number)

function check(holds, otherwise) {
  if (!holds) throw new Error(otherwise)
}

function same(expected, found, what) {
  const [e, f] = [JSON.stringify(expected), JSON.stringify(found)]
  check(e === f, `${what}: expected ${e}, found ${f}`)
}

async function until(what, condition) {
  const deadline = Date.now() + PATIENCE_MS
  while (!(await condition())) {
    check(Date.now() < deadline, `not within ${PATIENCE_MS / 1000} s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

module.exports = { PARTITIONS, RECORDS, feature, skip, version, check, same, until }
