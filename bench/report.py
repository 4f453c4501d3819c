"""The tables of bench/run, made of what it keeps in results.json."""

OURS = "asyncio"


def number(figure):
    if figure is None:
        return "-"
    if figure >= 1000:
        return f"{figure:,.0f}"
    return f"{figure:.2f}" if figure < 10 else f"{figure:.1f}"


def cell(figure):
    if figure["missing"]:
        return f"needs {figure['missing']}"
    if figure["median"] is None:
        return "-"
    ratio = f" ({figure['ratio']:.2f}x)" if figure["ratio"] else ""
    return number(figure["median"]) + ratio


def has_figures(row):
    return any(figure["median"] is not None or figure["missing"]
               for figure in row["figures"].values())


def tall_table(section, peers):
    """With a line for each contestant, where there are many of them."""
    rows = [row for row in section["rows"] if has_figures(row)]
    yield [section["title"], *(row["name"] for row in rows)]
    for peer in peers:
        yield [peer, *(cell(row["figures"][peer]) if peer in row["figures"] else ""
                       for row in rows)]
    yield ["goal", *(row["goal"] for row in rows)]
    yield ["", *(row["verdict"] for row in rows)]


def section_table(section):
    """Lines of cells, the first being the heading."""
    peers = list(dict.fromkeys(name for row in section["rows"] for name in row["figures"]))
    if len(peers) > 7:
        yield from tall_table(section, peers)
        return
    yield [section["title"], *peers, "goal", "and we"]
    for row in section["rows"]:
        cells = [cell(row["figures"][peer]) if peer in row["figures"] else "" for peer in peers]
        if has_figures(row):
            yield [row["name"], *cells, row["goal"], row["verdict"]]


def counter_tables(counters):
    instructions = counters["instructions"]
    if instructions:
        peers = list(dict.fromkeys(name for row in instructions.values() for name in row))
        yield [["Instructions per operation (callgrind)", *peers]] + [
            [name, *(number(row.get(peer)) if peer in row else "" for peer in peers)]
            for name, row in instructions.items()]
    if counters["allocations"]:
        yield [["Allocations per operation", OURS]] + [
            [name.replace("_", " "), f"{figure:g}"]
            for name, figure in counters["allocations"].items()]
    if counters["syscalls"]:
        names = list(counters["syscalls"])
        yield [[f"System calls per request ({counters['syscalls_by']})", *names],
               ["echo, 100 connections, 64 B",
                *(f"{figure:.2f}" if figure else "-" for figure in counters["syscalls"].values())]]


def tables(results):
    for section in results["sections"]:
        yield list(section_table(section))
    yield from counter_tables(results["counters"])


def is_words(table, column):
    """Whether a column is to be read, and not compared."""
    return column == 0 or (table[0][-1] == "and we" and column >= len(table[0]) - 2)


def versions(results):
    return ", ".join(f"{name} {version}" for name, version in results["versions"].items()) + "."


def print_text(results):
    for table in tables(results):
        widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
        print()
        for line in table:
            cells = [f"{text:<{width}}" if is_words(table, column) else f"{text:>{width}}"
                     for column, (text, width) in enumerate(zip(line, widths))]
            print("  ".join(cells).rstrip())
    print(f"\n{versions(results)}")


def print_markdown(results):
    machine = results["machine"]
    print(f"{results['date']}, commit {results['commit']}, `{results['command']}`, on {machine}.")
    print(f"\n{versions(results)}")
    for table in tables(results):
        print()
        print("| " + " | ".join(table[0]) + " |")
        print("| --- |" + " ---: |" * (len(table[0]) - 1))
        for line in table[1:]:
            print("| " + " | ".join(line) + " |")
