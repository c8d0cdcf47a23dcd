import { act, renderHook } from "@testing-library/react";
import { beforeAll, beforeEach, expect, it, vi } from "vitest";

/** The system's choice as Chromium tells it: a change that was read before its event has no event. */
const system = {
  dark: false,
  known: false,
  told: () => {},
  get matches() {
    return (this.known = this.dark);
  },
  addEventListener(_: string, told: () => void) {
    this.told = told;
  },
  frame() {
    if (this.known !== this.dark) {
      this.known = this.dark;
      act(() => this.told());
    }
  },
};
vi.stubGlobal("matchMedia", () => system);
let theme: typeof import("./theme");
const shown = () => document.documentElement.dataset["theme"];

beforeAll(async () => {
  theme = await import("./theme");
});
beforeEach(() => {
  localStorage.clear();
  system.dark = false;
  system.frame();
});

it("follows the system, also where a part is drawn before the change is told", () => {
  const { result, rerender } = renderHook(() => theme.useTheme());
  expect([result.current, shown()]).toEqual(["light", "light"]);
  system.dark = true;
  rerender();
  system.frame();
  expect([result.current, shown()]).toEqual(["dark", "dark"]);
});

it("is a person's where one was chosen, and the system's again where both agree", () => {
  theme.switchTheme();
  expect([shown(), localStorage.length]).toEqual(["dark", 1]);
  system.dark = true;
  system.frame();
  expect(shown()).toBe("dark");
  system.dark = false;
  system.frame();
  expect(shown()).toBe("dark");
  theme.switchTheme();
  expect([shown(), localStorage.length]).toEqual(["light", 0]);
});

it("is taken over from another tab", () => {
  localStorage.setItem("gemel.theme", "dark");
  act(() => void dispatchEvent(new Event("storage")));
  expect(shown()).toBe("dark");
});
