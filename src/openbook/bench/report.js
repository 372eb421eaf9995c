// Of the page that report.py writes: a click on a heading sorts its table, another one turns it round.
for (const heading of document.querySelectorAll('th')) {
  heading.onclick = () => {
    const body = heading.closest('table').tBodies[0]
    const column = [...heading.parentNode.children].indexOf(heading)
    const turn = heading.dataset.turn = heading.dataset.turn === '1' ? -1 : 1
    const value = row => {
      const cell = row.children[column], number = parseFloat(cell.dataset.v)
      return isNaN(number) ? cell.textContent : number
    }
    const compare = (a, b) =>
      typeof a === 'number' && typeof b === 'number' ? b - a : String(a).localeCompare(String(b))
    for (const row of [...body.rows].sort((a, b) => turn * compare(value(a), value(b)))) body.append(row)
  }
}
