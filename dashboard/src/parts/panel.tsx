/** A framed part of a view under a heading of its own. */
import { Group, Paper, Text, Title } from "@mantine/core";
import { type ReactNode, useId } from "react";
import classes from "./panel.module.css";

type Props = {
  title: ReactNode;
  /** What the title leaves open: units, bounds. */
  note?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
};

export function Panel({ title, note, actions, children }: Props) {
  const id = useId();
  return (
    <Paper component="section" aria-labelledby={id} className={classes.panel}>
      <Group justify="space-between" gap="xs" mb="xs" mih={28}>
        <Group gap="xs" align="baseline">
          <Title order={2} size="sm" id={id}>
            {title}
          </Title>
          {note && (
            <Text size="xs" c="dimmed">
              {note}
            </Text>
          )}
        </Group>
        {actions}
      </Group>
      {children}
    </Paper>
  );
}
