import "./design/tokens.css";
import "./design/theme";

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { shareToken, takeFromAddress } from "./api/session";
import { ClockProvider } from "./clock/clock";
import { Boundary } from "./shell/Boundary";
import { Shell } from "./shell/Shell";

takeFromAddress(location, history, sessionStorage);
await shareToken();

createRoot(document.getElementById("page")!).render(
  <StrictMode>
    <Boundary>
      <ClockProvider>
        <Shell />
      </ClockProvider>
    </Boundary>
  </StrictMode>,
);
