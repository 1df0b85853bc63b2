/** The product's mark and name. */
import { Group, Text } from "@mantine/core";

export function Mark() {
  return (
    <Group gap={8} wrap="nowrap">
      <img src="/mark.svg" alt="" width={24} height={24} />
      <Text fw={700} size="md" component="span">
        cajanegra
      </Text>
    </Group>
  );
}
