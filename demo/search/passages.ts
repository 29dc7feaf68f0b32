/** A stretch of text short enough to embed whole. */
export interface Passage {
  /** One line, never empty. The first passage under a heading starts with that heading. */
  readonly text: string;
  /** The heading that it stands under, `"CHAPTER 1. Loomings."`. */
  readonly heading: string | undefined;
}

/**
 * Characters, not words, because they tell more about tokens: the model reads 128 tokens at most, and of the shipped book's
 * passages 95 % have fewer than 0.35 tokens a character. This makes 35 to 65 English words.
 */
const MAX_LENGTH = 360;
/** A passage is closed at the end of a paragraph once it is this long; shorter paragraphs join the next. */
const MIN_LENGTH = 200;
/** What is left of a paragraph and shorter than this joins its neighbour, even if that makes it a little too long. */
const SCRAP_LENGTH = 80;

const NUMBERED_HEADING =
  /^(?:(?:chapter|book|part|volume|canto|act|scene|section|letter)\s+(?:\d+|[IVXLC]+|the|one)\b|(?:epilogue|prologue|preface)[.:]?$)/i;
const MARKDOWN_HEADING = /^#{1,6} /;
const LONGEST_RUN = new RegExp(`.{1,${MAX_LENGTH}}`, "gsu");
const ABBREVIATION =
  /(?:^|[\s(“"])(?:Mr|Mrs|Ms|Dr|St|Capt|Lt|Col|Gen|Rev|Hon|Prof|Messrs|Jr|Sr|vs|etc|viz|Vol|No|[A-Z])\.$/;
/** White space that follows the end of a sentence and stands before what can begin one. */
const SENTENCE_END = /(?<=[.!?…][”’"')\]]*)\s+(?=[“‘"'([—]*[\p{Lu}\p{N}])/u;
/** Where a sentence that is too long may be cut: after a clause. */
const CLAUSE_END = /(?<=[;:,—])\s*/;

/**
 * Splits plain text into passages of about 200 to 360 characters. Paragraphs are parted by blank lines; a passage ends at a
 * paragraph's end if it can, else at a sentence's, else at a clause's. A heading begins a passage and is never left alone,
 * unless nothing follows it.
 */
export function splitPassages(text: string): Passage[] {
  return splitSections(text).flatMap(({ heading, paragraphs }) => {
    const passages: string[] = [];
    let pending = heading ?? "";
    for (const paragraph of paragraphs) {
      const pieces = splitSentences(paragraph).flatMap(splitLong);
      for (const piece of pieces) {
        if (pending !== "" && pending !== heading && joinedLength(pending, piece) > MAX_LENGTH) {
          passages.push(pending);
          pending = "";
        }
        pending = join(pending, piece);
      }
      if (pending.length >= MIN_LENGTH) {
        passages.push(pending);
        pending = "";
      }
    }
    if (pending !== "") passages.push(pending);
    return joinScraps(passages).map((passage) => ({ text: passage, heading }));
  });
}

/** Sentences of one paragraph, in order; joined with spaces they give the paragraph again. */
export function splitSentences(paragraph: string): string[] {
  const sentences: string[] = [];
  let start = "";
  for (const part of paragraph.split(SENTENCE_END)) {
    const sentence = start === "" ? part : `${start} ${part}`;
    if (ABBREVIATION.test(sentence)) {
      start = sentence;
    } else {
      sentences.push(sentence);
      start = "";
    }
  }
  if (start !== "") sentences.push(start);
  return sentences;
}

interface Section {
  readonly heading: string | undefined;
  readonly paragraphs: string[];
}

/** Headings that follow each other without text between them ("BOOK II", "CHAPTER 1") are one heading. */
function splitSections(text: string): Section[] {
  const sections: Section[] = [{ heading: undefined, paragraphs: [] }];
  for (const paragraph of splitParagraphs(text)) {
    const current = sections.at(-1)!;
    if (!isHeading(paragraph)) current.paragraphs.push(paragraph);
    else if (current.paragraphs.length > 0) sections.push({ heading: paragraph, paragraphs: [] });
    else sections[sections.length - 1] = { heading: join(current.heading ?? "", paragraph), paragraphs: [] };
  }
  return sections;
}

function splitParagraphs(text: string): string[] {
  return text
    .replace(/^\uFEFF/, "")
    .split(/(?:\r\n|\r|\n)[^\S\r\n]*(?:\r\n|\r|\n)/)
    .map((paragraph) => paragraph.replace(/\s+/g, " ").trim())
    .filter((paragraph) => paragraph !== "");
}

function isHeading(paragraph: string): boolean {
  if (paragraph.length > 160) return false;
  return MARKDOWN_HEADING.test(paragraph) || NUMBERED_HEADING.test(paragraph) || isShouted(paragraph);
}

/** A line in capitals, unless it is speech. */
function isShouted(paragraph: string): boolean {
  return /\p{Lu}{3}/u.test(paragraph) && !/\p{Ll}/u.test(paragraph) && !/[!?”"’']$/.test(paragraph);
}

/** Cuts a sentence that is longer than a passage may be: after clauses where that suffices, between words where it does not. */
function splitLong(sentence: string): string[] {
  if (sentence.length <= MAX_LENGTH) return [sentence];
  const clauses = sentence.split(CLAUSE_END).filter((clause) => clause !== "");
  return pack(
    clauses.flatMap((clause) => (clause.length <= MAX_LENGTH ? [clause] : pack(splitWords(clause)))),
  );
}

/** A run of letters that no passage can hold is cut where it must be. */
function splitWords(clause: string): string[] {
  return clause.split(" ").flatMap((word) => word.match(LONGEST_RUN) ?? []);
}

/** Joins neighbours as long as the result fits into a passage. */
function pack(pieces: readonly string[]): string[] {
  const packed: string[] = [];
  for (const piece of pieces) {
    const last = packed.at(-1);
    if (last !== undefined && joinedLength(last, piece) <= MAX_LENGTH)
      packed[packed.length - 1] = join(last, piece);
    else packed.push(piece);
  }
  return packed;
}

/** Sentences that stood between two long ones are too short to be found by their meaning: they join the shorter neighbour. */
function joinScraps(passages: readonly string[]): string[] {
  const joined = [...passages];
  for (let i = joined.length - 1; i >= 0 && joined.length > 1; i--) {
    if (joined[i]!.length >= SCRAP_LENGTH) continue;
    const before = joined[i - 1]?.length ?? Number.POSITIVE_INFINITY;
    const after = joined[i + 1]?.length ?? Number.POSITIVE_INFINITY;
    const first = before <= after ? i - 1 : i;
    joined.splice(first, 2, join(joined[first]!, joined[first + 1]!));
  }
  return joined;
}

function join(left: string, right: string): string {
  // A dash stands between words without spaces, also where a sentence was cut behind one.
  return left === "" || left.endsWith("—") ? left + right : `${left} ${right}`;
}

function joinedLength(left: string, right: string): number {
  return left.length + 1 + right.length;
}
