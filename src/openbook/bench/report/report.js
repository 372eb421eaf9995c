// Of the page that page.py writes: a click on a heading sorts its table, best first; another one turns it round.
for (const button of document.querySelectorAll('th button')) {
  button.addEventListener('click', () => {
    const heading = button.parentNode
    const body = heading.closest('table').tBodies[0]
    const column = [...heading.parentNode.children].indexOf(heading)
    const before = heading.getAttribute('aria-sort')
    const first = heading.dataset.more ? 'descending' : 'ascending'
    const other = heading.dataset.more ? 'ascending' : 'descending'
    const sort = before === first ? other : first
    for (const one of heading.parentNode.children) if (one.hasAttribute('aria-sort')) one.setAttribute('aria-sort', 'none')
    heading.setAttribute('aria-sort', sort)
    const turn = sort === 'ascending' ? 1 : -1
    const number = row => parseFloat(row.children[column].dataset.v)
    const text = row => row.children[column].textContent
    const compare = (a, b) => {
      const [one, two] = [number(a), number(b)]
      if (!isNaN(one) && !isNaN(two)) return turn * (one - two)
      if (isNaN(one) && isNaN(two)) {
        // What is not known ('-') comes last either way.
        if ((text(a) === '-') !== (text(b) === '-')) return text(a) === '-' ? 1 : -1
        return turn * text(a).localeCompare(text(b), undefined, { numeric: true })
      }
      return isNaN(one) ? 1 : -1
    }
    for (const row of [...body.rows].sort(compare)) body.append(row)
  })
}
