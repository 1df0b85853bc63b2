/** The frame of a view: its title, which the window has too, its controls, and what it shows. */
import { Group, Stack, Title } from "@mantine/core";
import { type ReactNode, useEffect } from "react";

type Props = {
  /** Names the view, and what it shows. */
  title: string;
  /** Stands beside the title instead of it, where the title is more than words. */
  heading?: ReactNode;
  /** What the view is controlled by. */
  actions?: ReactNode;
  children: ReactNode;
};

export function View({ title, heading, actions, children }: Props) {
  useEffect(() => {
    document.title = `${title} · cajanegra`;
  }, [title]);
  return (
    <Stack gap="md">
      <Group justify="space-between" gap="sm" mih={36}>
        <Title order={1}>{heading ?? title}</Title>
        {actions && <Group gap="xs">{actions}</Group>}
      </Group>
      {children}
    </Stack>
  );
}
