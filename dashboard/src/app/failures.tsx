/** What is shown where nothing else can be: unknown addresses, and views that have failed. */
import { Anchor, Button, Code, Stack, Text, Title } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useAppWords } from "./words";

export function NotFound() {
  const t = useAppWords();
  return (
    <Stack align="center" gap="xs" py={96}>
      <Title order={1}>{t("notFound")}</Title>
      <Text c="dimmed">{t("notFoundWhy")}</Text>
      <Anchor component={Link} to="/">
        {t("toOverview")}
      </Anchor>
    </Stack>
  );
}

export function ViewError({ error }: { error: unknown }) {
  const t = useAppWords();
  return (
    <Stack align="center" gap="xs" py={96} role="alert">
      <Title order={1}>{t("broken")}</Title>
      <Text c="dimmed">{t("brokenWhy")}</Text>
      <Code block maw="100%">
        {error instanceof Error ? `${error.name}: ${error.message}` : String(error)}
      </Code>
      <Button onClick={() => location.reload()}>{t("reload")}</Button>
    </Stack>
  );
}
