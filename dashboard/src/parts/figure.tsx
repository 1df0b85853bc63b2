/** One number, what it counts, and the way to the calls that it counts. */
import { Text } from "@mantine/core";
import type { ReactNode } from "react";
import classes from "./figure.module.css";

type Props = {
  label: string;
  value: ReactNode;
  note?: ReactNode;
  /** Wraps the number in a link: `(content) => <Link …>{content}</Link>`. */
  link?: (content: ReactNode) => ReactNode;
};

export function Figure({ label, value, note, link }: Props) {
  const number = <span className={classes.value}>{value}</span>;
  return (
    <div className={classes.figure}>
      <Text component="dt" size="xs" c="dimmed">
        {label}
      </Text>
      <dd className={classes.definition}>
        {link ? link(number) : number}
        {note && (
          <Text component="div" size="xs" c="dimmed">
            {note}
          </Text>
        )}
      </dd>
    </div>
  );
}

/** Figures side by side, as many as fit. */
export function Figures({ children }: { children: ReactNode }) {
  return <dl className={classes.figures}>{children}</dl>;
}
