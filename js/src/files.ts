/** Have the browser save a file. */
export function download(name: string, file: Blob, within: Element): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  // Hosts that show outputs in a frame of their own listen for clicks that come out of it.
  within.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
