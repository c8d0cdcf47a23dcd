import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, describe, expect, it, vi } from "vitest";

import { Problem as Fault } from "@/api/client";
import { Boundary } from "@/shell/Boundary";

import { type Column, Status, STATUSES, Table, Value } from ".";

afterEach(cleanup);

const columns: Column<number>[] = [
  { key: "n", title: "Number", width: "80px", sort: "n", cell: (n) => `number ${n}` },
  { key: "square", title: "Square", width: "1fr", align: "right", cell: (n) => n * n },
];

function table(more: Partial<Parameters<typeof Table<number>>[0]> = {}) {
  return render(<Table label="Numbers" columns={columns} total={100_000} row={(k) => k} height={400} {...more} />);
}

describe("a table", () => {
  it("draws no more rows than are seen, and says how many there are", () => {
    table();
    expect(screen.getByRole("grid").getAttribute("aria-rowcount")).toBe("100001");
    expect(screen.getAllByRole("row").length).toBeLessThan(40);
    expect(screen.getByText("number 0")).toBeTruthy();
    expect(screen.queryByText("number 99999")).toBeNull();
  });

  it("is walked by keys, and opens the row it stands on", () => {
    const [open, cursor] = [vi.fn(), vi.fn()];
    table({ onOpen: open, onCursor: cursor });
    const grid = screen.getByRole("grid");
    fireEvent.focus(grid);
    for (const key of ["ArrowDown", "ArrowDown", "ArrowUp", "Enter"]) fireEvent.keyDown(grid, { key });
    expect(open).toHaveBeenLastCalledWith(1, 1);
    fireEvent.keyDown(grid, { key: "End" });
    expect(cursor).toHaveBeenLastCalledWith(99_999);
    fireEvent.keyDown(grid, { key: "ArrowDown" });
    expect(cursor).toHaveBeenLastCalledWith(99_999);
  });

  it("turns its order round by a second click", () => {
    const sort = vi.fn();
    const { rerender } = table({ onSort: sort, sort: "other" });
    fireEvent.click(screen.getByRole("button", { name: "Number" }));
    expect(sort).toHaveBeenLastCalledWith("n");
    rerender(<Table label="Numbers" columns={columns} total={3} row={(k) => k} height={400} onSort={sort} sort="n" />);
    expect(screen.getAllByRole("columnheader")[0]!.getAttribute("aria-sort")).toBe("ascending");
    fireEvent.click(screen.getByRole("button", { name: /Number/ }));
    expect(sort).toHaveBeenLastCalledWith("-n");
  });

  it("keeps the place of a row that is not here yet, and does not open it", () => {
    const open = vi.fn();
    table({ row: () => undefined, onOpen: open });
    const first = screen.getAllByRole("row")[1]!;
    expect(first.style.height).toBe("32px");
    fireEvent.click(first);
    expect(open).not.toHaveBeenCalled();
  });
});

describe("a status", () => {
  it("has a word and a shape of its own, not a colour alone", () => {
    const shapes = STATUSES.map((status) => {
      const { container, unmount } = render(<Status of={status} />);
      expect(container.textContent).not.toBe("");
      const shape = container.querySelector("svg")!.innerHTML;
      unmount();
      return shape;
    });
    expect(new Set(shapes).size).toBe(STATUSES.length);
  });
});

describe("a value", () => {
  it("carries its doubt, unit and age, and says when it is not good", () => {
    const { container } = render(<Value value={81.2345} std={0.31} unit="degC" age={240} quality="bad" reason="range" />);
    expect(container.textContent!.replaceAll("\u202f", " ")).toBe("81.23± 0.31°C4 min");
    expect(screen.getByRole("img").getAttribute("aria-label")).toBe("bad: range");
  });

  it("that is none shows neither unit nor doubt", () => {
    expect(render(<Value value={null} std={0.3} unit="degC" />).container.textContent).toBe("\u2013");
  });
});

describe("a view that crashed", () => {
  it("says why, and is whole again at another address", () => {
    vi.spyOn(console, "error").mockImplementation(() => undefined);
    const Broken = () => {
      throw new Fault("twin.unknown", "there is no twin 'x'", "ask for another");
    };
    const { rerender } = render(
      <Boundary at="/asset/x">
        <Broken />
      </Boundary>,
    );
    expect(screen.getByRole("alert").textContent).toContain("Ask for another.");
    rerender(<Boundary at="/">well</Boundary>);
    expect(screen.getByText("well")).toBeTruthy();
  });
});
