/** An element of an XML document, with the text that stands in it itself. */
export interface XmlElement {
  /** Without its namespace prefix. */
  name: string;
  text: string;
  children: XmlElement[];
}

/** A declaration, an end, a beginning (which may be its own end), or text; attributes are passed over. */
const TOKEN =
  /<\?xml[^<>]*\?>\s*|<\/(?<end>[\w:.-]+)\s*>|<(?<start>[\w:.-]+)(?:\s+[\w:.-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*\s*(?<empty>\/?)>|(?<text>[^<]+)/y;
const ENTITIES: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
const DEEPEST = 20;

/**
 * Reads the XML that S3 speaks: elements and text. What it never sends is refused: document types, comments, sections,
 * entities of its own, which are where XML becomes dangerous.
 *
 * @throws SyntaxError
 */
export function parseXml(xml: string): XmlElement {
  const root: XmlElement = { name: "", text: "", children: [] };
  const open = [root];
  const document = xml.replace(/^\uFEFF/, "");
  for (let at = 0; at < document.length; ) {
    TOKEN.lastIndex = at;
    const groups = TOKEN.exec(document)?.groups;
    const parent = open.at(-1);
    if (!groups || !parent) throw new SyntaxError(`XML is broken at ${at}`);
    const { end, start, empty, text } = groups;
    if (start !== undefined) {
      const element: XmlElement = { name: start.replace(/^.*:/, ""), text: "", children: [] };
      parent.children.push(element);
      if (empty === "") open.push(element);
      if (open.length > DEEPEST) throw new SyntaxError("XML is too deep");
    } else if (end !== undefined) {
      if (open.length === 1 || end.replace(/^.*:/, "") !== parent.name) throw new SyntaxError(`XML is broken at ${at}`);
      open.pop();
    } else if (text !== undefined) {
      parent.text += decode(text);
    }
    at = TOKEN.lastIndex;
  }
  const [element, ...others] = root.children;
  if (open.length > 1 || !element || others.length > 0 || root.text.trim() !== "")
    throw new SyntaxError("XML is not whole");
  return element;
}

function decode(text: string): string {
  return text.replace(/&([^;&]{0,10};?)/g, (_, name: string) => {
    const entity = name.endsWith(";") ? name.slice(0, -1) : "";
    const [, hex, decimal] = /^#(?:x([0-9a-f]{1,6})|(\d{1,7}))$/i.exec(entity) ?? [];
    const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
    const character = ENTITIES[entity] ?? (code <= 0x10ffff ? String.fromCodePoint(code) : undefined);
    if (character === undefined) throw new SyntaxError("XML has an unknown entity");
    return character;
  });
}

/** The text of an element's child; undefined without one. */
export function childText(element: XmlElement, name: string): string | undefined {
  return element.children.find((child) => child.name === name)?.text;
}
