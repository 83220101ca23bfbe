import { useEffect, useReducer, useState } from "preact/hooks";
import { useStore } from "../hooks";

/** What there is of an answer of the kernel. */
export type Answered<Answer> = Answer | "waiting" | "failed";

/**
 * The answer to a question, which is asked again when its subject changes, and given up with it.
 *
 * The question returns null when it failed. A subject of null asks nothing. The second value asks again.
 */
export function useAnswer<Subject extends string | number, Answer extends object>(
  subject: Subject | null,
  question: (subject: Subject, signal: AbortSignal) => Promise<Answer | null>,
  pauseMs = 0,
): [Answered<Answer>, () => void] {
  const [known, setKnown] = useState<{ subject: Subject; answer: Answer | "failed" }>();
  const [attempt, again] = useReducer((attempts: number) => attempts + 1, 0);
  useEffect(() => {
    if (subject === null) return;
    const request = new AbortController();
    setKnown(undefined);
    const timer = setTimeout(async () => {
      const answer = await question(subject, request.signal);
      if (!request.signal.aborted) setKnown({ subject, answer: answer ?? "failed" });
    }, pauseMs);
    return () => {
      clearTimeout(timer);
      request.abort();
    };
  }, [subject, attempt]);
  return [known?.subject === subject ? known.answer : "waiting", () => again(undefined)];
}

/** Why an answer of the kernel is not there yet. */
export function useWait(): string {
  return useStore(({ busy, unanswered }) => {
    if (unanswered) return "the kernel does not answer";
    return busy ? "waiting for the kernel" : "asking the kernel …";
  });
}
