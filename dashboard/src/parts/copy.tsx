/** A button that puts a text into the clipboard. */
import { Button, type ButtonProps, CopyButton } from "@mantine/core";
import { IconCheck, IconCopy } from "@tabler/icons-react";
import { useAppWords } from "../app/words";

export function Copy({ text, label, ...props }: { text: string; label: string } & ButtonProps) {
  const t = useAppWords();
  return (
    <CopyButton value={text}>
      {({ copied, copy }) => (
        <Button
          size="compact-sm"
          variant="default"
          leftSection={copied ? <IconCheck size={14} aria-hidden /> : <IconCopy size={14} aria-hidden />}
          onClick={copy}
          {...props}
        >
          {copied ? t("copied") : label}
        </Button>
      )}
    </CopyButton>
  );
}
