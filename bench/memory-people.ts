import { createHash } from "node:crypto";

/** Somebody the user has mail from. Nobody of these names is meant; the addresses cannot exist (RFC 2606). */
export interface Person {
  /** Counts from 0. */
  number: number;
  first: string;
  last: string;
  name: string;
  address: string;
  company: string;
}

const FIRST = (
  "Aino Albin Amara Anouk Arvid Åse Bastian Beatriz Bronwen Cai Carmela Dagny Demba Désirée Edda Eirik Elif Emre " +
  "Fabrice Fenna Gaspard Greta Hakon Hedda Ilse Imani Ines Ivar Jadwiga Jonas Jürgen Kaja Kenji Kirsten Lamine " +
  "Leocadia Livia Łucja Maarten Malin Mirko Nadia Nils Odette Oskar Paloma Pim Quirin Rafaela Runa Sanna Søren Tamsin " +
  "Teodor Ulrika Viggo Wanda Xenia Yannick Zofia"
).split(" ");

const LAST = (
  "Abelin Aldaya Amsel Bakkerud Balint Barwick Bellacqua Brandal Brzoza Cadoret Calder Casals Dahlquist Deschain " +
  "Dimov Drożdż Eklund Elvestad Espinal Falk Farkas Fontaine Gallego Garnaas Gerlach Grubišić Haddow Halvorsen Hartung " +
  "Hovde Iversen Jablonski Jansma Jovanel Kalda Karlsen Keita Kestrel Kovalik Lachance Lagerbaum Lindaas Lorca Lunde " +
  "Maddox Maier Marsala Mbeki Molnar Mørk Nadeau Nygaard Oduya Ollerton Østby Paquet Perrin Pichler Quist Ravndal " +
  "Renaudin Rosengren Sabatini Skarstein Solheim Strandli Szabo Tallis Tangen Tveit Ulvang Vandamme Verhoef Waldmann " +
  "Westerby Yilmazer Zander"
).split(" ");

const COMPANIES = (
  "Almgard Birkenau-Werft Brevik Cordelac Dunfell Eikenhout Farrowby Fjellkraft Glasmoor Halvgrad Havnelys Indigofera " +
  "Jernbro Kaltwasser Klippfisk Lanternfield Lichtung Marenco Mossvik Nettlebed Nordkapell Ostara Otterburn Papelina " +
  "Quellgrund Rauma-Tre Rivendal Sandvoll Skarvebotn Sternwarte Tessaro Tidewater Ullmann Valfiore Vesterhav Wintergreen " +
  "Wollmark Yewtree Zeelandic Zirbelholz"
).split(" ");

/** What the user and these people work on together; each name is some dozen people's. */
const PROJECTS = (
  "Albatross Basalt Calypso Driftwood Equinox Falconet Gaslight Hornbeam Iceberg Juniper Kingfisher Lodestar Meridian " +
  "Nightjar Obsidian Periwinkle Quicksand Redshank Saltmarsh Tamarind Undertow Vermilion Windlass Yellowtail Zephyr"
).split(" ");

const CITIES = (
  "Aarhus Antwerp Bergen Bilbao Bologna Bratislava Cork Dresden Gdansk Geneva Ghent Graz Leipzig Lisbon Ljubljana Lyon " +
  "Malmo Nantes Porto Riga Rotterdam Seville Tallinn Tampere Trieste Turin Utrecht Valencia Vilnius Zagreb"
).split(" ");

const MONTHS = "January February March April May June July August September October November December".split(" ");

/** The surnames and first names have no common divisor but 1, so that no two people below 4,620 share both. */
export function makePeople(count: number): Person[] {
  return Array.from({ length: count }, (_, number) => {
    const first = FIRST[number % FIRST.length] ?? "";
    const last = LAST[number % LAST.length] ?? "";
    const company = pick(COMPANIES, "company", number);
    const address = `${toAscii(first)}.${toAscii(last)}@${toAscii(company)}.example`;
    return { number, first, last, name: `${first} ${last}`, address, company };
  });
}

/** Those who came before others, and are no contacts any more: their numbers are those of nobody in the sets. */
const COLLEAGUES = makePeople(4_000).slice(3_800);

/** What a template's `{city}`, `{day}` and so on stand for in the fact of one kind about one person. */
export function fillFor(person: Person, kind: string): Record<string, string> {
  const at = (list: readonly string[], what: string) => pick(list, what, kind, person.number);
  const month = at(MONTHS, "month");
  return {
    project: at(PROJECTS, "project"),
    city: at(CITIES, "city"),
    town: at(CITIES.toReversed(), "town"),
    month,
    day: `${1 + numberFrom("day", kind, person.number, 28)} ${month}`,
    amount: `${4 + numberFrom("amount", kind, person.number, 90)},000`,
    count: `${2 + numberFrom("count", kind, person.number, 40)}`,
    version: `${1 + numberFrom("major", kind, person.number, 9)}.${numberFrom("minor", kind, person.number, 20)}`,
    colleague: pick(COLLEAGUES, "colleague", kind, person.number).name,
  };
}

/** An item that follows from the words given and nothing else: the same in every run, however many are picked before. */
export function pick<T>(list: readonly [T, ...T[]] | readonly T[], ...words: readonly (string | number)[]): T {
  const item = list[hashOf(words) % list.length];
  if (item === undefined) throw new Error("nothing to pick from");
  return item;
}

/** A number from 0 to `below` - 1, in the way of {@link pick}. */
function numberFrom(what: string, kind: string, person: number, below: number): number {
  return hashOf([what, kind, person]) % below;
}

/** The items in an order that follows from the words given and nothing else. */
export function shuffle<T>(list: readonly T[], ...words: readonly (string | number)[]): T[] {
  return list
    .map((item, i) => ({ item, place: hashOf([...words, i]) }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);
}

function hashOf(words: readonly (string | number)[]): number {
  return createHash("sha256").update(words.join("\0")).digest().readUInt32BE(0);
}

function toAscii(name: string): string {
  const plain: Readonly<Record<string, string>> = { ø: "o", ł: "l", æ: "ae", ß: "ss" };
  return name
    .toLowerCase()
    .normalize("NFD")
    .replace(/\p{M}/gu, "")
    .replace(/[øłæß]/g, (letter) => plain[letter] ?? letter);
}
