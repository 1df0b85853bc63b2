/** What a query brings, and what is shown until it has, when it brings nothing, and when it fails. */
import { Alert, Button, Group, Loader, Stack, Text } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { asProblem } from "../api/client";
import { useAppWords } from "../app/words";

type Props<Data> = {
  query: Pick<UseQueryResult<Data, unknown>, "data" | "error" | "isPending" | "refetch">;
  /** Shown instead of the data where `isEmpty` says so. */
  empty?: ReactNode;
  isEmpty?: (data: Data) => boolean;
  /** Pixels that are kept free meanwhile, so that nothing jumps. */
  height?: number;
  children: (data: Data) => ReactNode;
};

export function Loaded<Data>({ query, empty, isEmpty, height = 120, children }: Props<Data>) {
  if (query.data !== undefined) {
    const problem = query.error ? <Failure error={query.error} again={() => void query.refetch()} /> : null;
    const nothing = empty !== undefined && isEmpty?.(query.data);
    return (
      <>
        {problem}
        {nothing ? empty : children(query.data)}
      </>
    );
  }
  if (query.error) return <Failure error={query.error} again={() => void query.refetch()} />;
  return <Waiting height={height} />;
}

export function Waiting({ height = 120 }: { height?: number }) {
  const t = useAppWords();
  return (
    <Group justify="center" h={height} role="status" aria-label={t("loading")}>
      <Loader size="sm" type="dots" aria-hidden />
    </Group>
  );
}

/** What went wrong with a request, in the server's words, and a button that asks again. */
export function Failure({ error, again }: { error: unknown; again?: () => void }) {
  const t = useAppWords();
  const problem = asProblem(error);
  const reason = problem.status === 0 ? t("unreachable") : (problem.detail ?? problem.title);
  return (
    <Alert
      color="red"
      variant="outline"
      icon={<IconAlertTriangle size={18} aria-hidden />}
      title={t("failed")}
      role="alert"
    >
      <Text size="sm">{reason || `HTTP ${problem.status}`}</Text>
      {problem.errors?.map((one) => (
        <Text size="sm" key={one.location}>
          {one.location}: {one.detail}
        </Text>
      ))}
      {problem.request_id && (
        <Text size="xs" c="dimmed">
          {t("requestId", { id: problem.request_id })}
        </Text>
      )}
      {again && (
        <Button size="compact-sm" variant="default" mt="xs" onClick={again}>
          {t("again")}
        </Button>
      )}
    </Alert>
  );
}

/** Says that there is nothing, why, and what leads on. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <Stack align="center" gap={4} py="xl">
      <Text fw={600}>{title}</Text>
      {children && (
        <Text component="div" size="sm" c="dimmed" ta="center" maw={460}>
          {children}
        </Text>
      )}
    </Stack>
  );
}
