// A dialog: the browser's own, so that focus, Esc and what lies behind are right.

import { type ReactNode, useEffect, useRef } from "react";

import { Button } from "./Button";
import css from "./Dialog.module.css";

interface DialogProps {
  title: ReactNode;
  onClose: () => void;
  /** What can be done, to the right, the main thing last. */
  actions?: ReactNode;
  wide?: boolean;
  children: ReactNode;
}

export function Dialog({ title, onClose, actions, wide, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog
      ref={dialog}
      className={css["dialog"]}
      data-wide={wide || undefined}
      aria-labelledby="dialog-title"
      onClose={onClose}
      onClick={(event) => event.target === dialog.current && onClose()}
    >
      <div className={css["inside"]}>
        <header className={css["head"]}>
          <h2 id="dialog-title">{title}</h2>
          <Button kind="quiet" aria-label="Close" onClick={onClose}>
            ✕
          </Button>
        </header>
        <div className={css["body"]}>{children}</div>
        {actions && <footer className={css["foot"]}>{actions}</footer>}
      </div>
    </dialog>
  );
}
