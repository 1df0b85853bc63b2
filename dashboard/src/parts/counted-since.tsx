/** Says that numbers leave out what lies further back, where that is so. */
import { Text } from "@mantine/core";
import { useAppWords } from "../app/words";
import { useFormats } from "../language/formats";

export function CountedSince({ at }: { at: string | null | undefined }) {
  const t = useAppWords();
  const formats = useFormats();
  if (!at) return null;
  return (
    <Text size="xs" c="dimmed">
      {t("countedSince", { since: formats.moment(at) })}
    </Text>
  );
}
