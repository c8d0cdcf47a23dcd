// What a view that crashed leaves behind: what happened, and a way on. The rest of the page stays.

import { Component, type ErrorInfo, type ReactNode } from "react";

import { asProblem } from "@/api/client";
import { Problem } from "@/design";

interface Props {
  children: ReactNode;
  /** Another one of these, and it is tried again: the path. */
  at?: string;
}

export class Boundary extends Component<Props, { error: unknown; at: string | undefined }> {
  override state = { error: undefined as unknown, at: this.props.at };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  static getDerivedStateFromProps(props: Props, state: { at: string | undefined }) {
    return props.at === state.at ? null : { at: props.at, error: undefined };
  }

  override componentDidCatch(error: unknown, info: ErrorInfo) {
    console.error(error, info.componentStack);
  }

  override render() {
    if (this.state.error === undefined) return this.props.children;
    return <Problem of={asProblem(this.state.error)} retry={() => this.setState({ error: undefined })} />;
  }
}
