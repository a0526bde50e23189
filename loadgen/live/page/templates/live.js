// Asks once a second how the run stands; draws the charts anew when there is a line, a stage or a fault that was not
// there, and else only adds points to them.
(() => {
  const root = document.documentElement
  const at = (id) => document.getElementById(id)
  const palettes = JSON.parse(at("palettes").textContent)

  // Theme: the system's choice until the reader presses the button.
  const dark = window.matchMedia("(prefers-color-scheme: dark)")
  const button = document.querySelector("button.theme")
  const remember = (value) => { try { localStorage.setItem("loadgen-theme", value) } catch (_) { /* may be refused */ } }
  const recall = () => { try { return localStorage.getItem("loadgen-theme") } catch (_) { return null } }
  const current = () => root.dataset.theme || (dark.matches ? "dark" : "light")
  const paint = () => {
    const palette = palettes[current()]
    for (const doc of Bokeh.documents) {
      for (const model of doc._all_models.values())
        for (const tag of model.tags || [])
          if (typeof tag === "string") {
            const [what, name] = tag.split(":")
            if (what === "colour") (model.glyph || model).line_color = palette[name]
            if (what === "fill") (model.glyph || model).fill_color = palette[name]
          }
      for (const plot of doc.roots()) plot.change.emit()
    }
  }
  const theme = () => {
    button.textContent = current() === "dark" ? "Light" : "Dark"
    button.hidden = false
    paint()
  }
  const kept = recall()
  if (kept === "dark" || kept === "light") root.dataset.theme = kept
  button.addEventListener("click", () => {
    root.dataset.theme = current() === "dark" ? "light" : "dark"
    remember(root.dataset.theme)
    theme()
  })
  dark.addEventListener("change", theme)

  // Figures as people read them.
  const three = (n) => String(Number(n.toPrecision(3)))
  const duration = (s) => s === null || s === undefined ? "–"
    : s < 0.001 ? `${three(s * 1e6)} µs` : s < 1 ? `${three(s * 1000)} ms` : s < 60 ? `${three(s)} s` : clock(s)
  const clock = (s) => {
    const whole = Math.round(s), two = (n) => String(n).padStart(2, "0")
    return whole < 60 ? `${whole}s` : whole < 3600 ? `${Math.floor(whole / 60)}m ${two(whole % 60)}s`
      : `${Math.floor(whole / 3600)}h ${two(Math.floor(whole % 3600 / 60))}m`
  }
  const number = (n) => n.toLocaleString("en", { maximumFractionDigits: n < 100 ? 1 : 0 })
  const make = (tag, text, kind = "") => {
    const made = document.createElement(tag)
    made.textContent = text
    if (kind) made.className = kind
    return made
  }
  const p99 = (spread) => duration(spread && spread.p99)

  const tiles = (s) => {
    const beyond = (name) => s.generator.beyond_limits.includes(name)
    const cpu = s.generator.busiest_worker_cores
    at("tiles").replaceChildren(...[
      ["clients connected", number(s.clients.connected), `of ${number(s.clients.planned)}`],
      ["published", `${number(s.messages_per_second.published)}/s`, `${number(s.messages_per_second.acknowledged)}/s acknowledged`],
      ["delivered", `${number(s.messages_per_second.delivered)}/s`, `${number(s.messages.inflight)} in flight`],
      ["publish p99", p99(s.publish_latency_seconds), `p50 ${duration(s.publish_latency_seconds?.p50)}`],
      ["delivery p99", p99(s.delivery_latency_seconds), `p50 ${duration(s.delivery_latency_seconds?.p50)}`],
      ["send lag p99", p99(s.generator.send_lag_seconds),
        `of ${duration(s.generator.send_lag_limit_seconds)}` + (cpu === null ? "" : ` · CPU ${Math.round(100 * cpu)} %`),
        beyond("send_lag") || beyond("loop_lag") || beyond("cpu")],
    ].map(([name, value, note, bad]) => {
      const tile = make("div", "", bad ? "tile bad" : "tile")
      tile.append(make("div", name, "name"), make("div", value, "value"), make("div", note, "note"))
      return tile
    }))
  }

  const words = { pass: "on course", fail: "failing", invalid: "invalid so far" }
  const marks = { pass: "✓ holds", fail: "✗ broken", warn: "~ broken, a warning", invalid: "! not measured", later: "not known yet" }
  const head = (state) => {
    const hero = at("standing"), s = state.second
    hero.className = `hero verdict-${state.verdict}`
    at("verdict").textContent = state.ended ? state.verdict.toUpperCase() : words[state.verdict] || "…"
    at("reasons").replaceChildren(...state.reasons.map((each) => make("li", each)))
    at("thresholds").replaceChildren(...state.thresholds.map((each) => {
      const row = document.createElement("tr")
      row.append(make("th", each.metric), make("td", each.expression), make("td", each.value, "num"),
        make("td", marks[each.verdict], each.verdict))
      row.firstChild.scope = "row"
      return row
    }))
    at("notes").replaceChildren(...state.notes.map((each) => make("li", each)))
    at("path").textContent = state.path
    at("width").textContent = state.point_seconds
    if (!s) return
    at("when").textContent = state.ended ? `ended after ${clock(s.elapsed_seconds)}`
      : clock(s.elapsed_seconds) + (s.run_left_seconds === null ? "" : `, about ${clock(s.run_left_seconds)} left in all`)
    const left = s.stage.left_seconds
    at("stage").textContent = state.ended ? "" : s.stage.name
    at("left").textContent = state.ended || left === null ? "" : `${clock(left)} left`
    at("progress").hidden = state.ended
    at("progress").value = left === null ? s.clients.connected / s.clients.planned
      : s.stage.elapsed_seconds / (s.stage.elapsed_seconds + left || 1)
    tiles(s)
    at("faults").replaceChildren(...s.faults.map((each) => make("p", `fault ${each}`)))
    const errors = Object.entries(s.errors).filter((each) => each[1]).sort((a, b) => b[1] - a[1])
    at("errors").replaceChildren(...errors.map(([cause, times]) => make("li", `${cause} × ${number(times)}`)))
    if (!errors.length) at("errors").append(make("li", "none", "soft"))
  }

  // The charts.
  const rows = []
  let version = "", end = null
  const sources = () => Bokeh.documents.flatMap((doc) => [...doc._all_models.values()]
    .filter((model) => model.type === "ColumnDataSource"))
  const grow = (curves) => {
    for (const source of sources()) {
      const data = source.data
      if ("time" in data && rows.length) {
        const names = Object.keys(data).filter((name) => name === "time" || rows.some((row) => name in row))
        const grown = Object.fromEntries(names.map((name) => [name, rows.map((row) => row[name] ?? NaN)]))
        const size = rows.length
        // Columns of another length would not be drawn.
        if (names.length === Object.keys(data).length || Object.values(data).every((column) => column.length === size))
          source.data = { ...data, ...grown }
      } else if (curves && "percentile" in data) {
        const name = Object.keys(data).find((each) => each in curves)
        if (name) source.data = { ...data, x: curves[name].x, [name]: curves[name].y.map((y) => y ?? NaN), percentile: curves[name].percentile }
      }
    }
    if (!rows.length) return
    const last = rows[rows.length - 1].time + 1
    const ranges = new Set(Bokeh.documents.flatMap((doc) => doc.roots()).filter((plot) => plot.x_range?.bounds)
      .map((plot) => plot.x_range))
    for (const range of ranges)
      if (last > range.bounds[1]) {
        // Who has zoomed in keeps what he looks at.
        const whole = range.start <= range.bounds[0] && range.end >= range.bounds[1]
        range.bounds = [range.bounds[0], last]
        range.reset_end = last
        if (whole) range.end = last
      }
  }
  const redraw = async () => {
    const drawn = await (await fetch("/charts")).json()
    if (!drawn.html) return
    for (const view of [...(Bokeh.index.roots ?? Object.values(Bokeh.index))]) view.remove()
    Bokeh.documents.splice(0)
    const place = at("charts")
    place.innerHTML = drawn.html
    const wanted = place.querySelectorAll(".plot").length
    await new Promise((done, failed) => {
      const script = document.createElement("script")
      script.src = `/charts.js?${drawn.version}`
      script.onload = done
      script.onerror = failed
      document.head.append(script)
      script.addEventListener("load", () => script.remove())
    })
    const there = () => Bokeh.documents.reduce((n, doc) => n + doc.roots().length, 0)
    for (let tries = 0; there() < wanted && tries < 400; tries += 1) await new Promise((done) => setTimeout(done, 25))
    for (const key of place.querySelectorAll("button.key"))
      key.addEventListener("click", () => {
        const visible = key.getAttribute("aria-pressed") !== "true"
        key.setAttribute("aria-pressed", String(visible))
        for (const doc of Bokeh.documents)
          for (const name of [key.dataset.line, `${key.dataset.line}#`]) {
            const line = doc.get_model_by_name(name)
            if (line) line.visible = visible
          }
      })
    version = drawn.version
    theme()
    root.dataset.charts = String(there())
  }

  let turn = 0, seen = false
  const ask = async () => {
    let wait = 1000
    try {
      const curves = turn % 3 === 0 ? "&curves=1" : ""
      const answer = await fetch(`/state?rows=${rows.length}${curves}${seen ? "&seen=1" : ""}`)
      if (!answer.ok) throw new Error(answer.statusText)
      const state = await answer.json()
      at("contact").hidden = true
      turn += 1
      rows.push(...state.rows)
      head(state)
      if (rows.length && state.charts !== version) await redraw()
      if (version) grow(state.curves)
      root.dataset.points = String(rows.length)
      if (seen) return
      if (state.ended) { seen = true; wait = 0; root.dataset.ended = state.verdict }
    } catch (_) {
      if (seen) return
      at("contact").textContent = "loadgen does not answer: the run has ended, or its machine cannot be reached."
      at("contact").hidden = false
    }
    setTimeout(ask, document.hidden ? Math.max(wait, 4000) : wait)
  }
  theme()
  ask()
})()
