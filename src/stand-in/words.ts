/** Words and phrases of the stand-in's grammar. They are matched in lower-case text with single spaces. */

/** Senders of bulk mail: newsletter@, promo-de@, or any address at news.shop.example. */
export const BULK_SENDER =
  /^(?:newsletters?|news|marketing|promo(?:tion)?s?|deals?|offers?|digest|no-?reply-marketing)\b[^@]*@|@(?:news|newsletters?|marketing|promos?|deals|offers)\./;

/** Senders behind which there is no person. */
export const AUTOMATED_SENDER =
  /^(?:[^@]*[.+_-])?(?:no-?reply|do-?not-?reply|notifications?|notify|alerts?|ci|builds?|bot|jenkins|system|calendar|monitoring|automated|mailer-daemon|postmaster)(?:[.+_-][^@]*)?@/;

/** Senders that mostly automate, but sometimes a person writes from them. */
export const ACCOUNTS_SENDER =
  /^(?:billing|invoices?|receipts?|payments?|orders?|shipping|status|updates?|accounts?)(?:[.+_-][^@]*)?@/;

/** What systems and shops report. */
export const TRANSACTION = phrases(
  "invoice|receipt|payment|shipped|delivery|deploy(?:ed|ment)?|maintenance|incident|security alert",
  "build (?:failed|passed|fixed)|order confirmation",
);

/** Asking a person to do something. */
export const REQUEST = phrases(
  "(?:could|can|would|will) you(?! (?:afford|believe|imagine|be open))",
  "please (?:let|send|review|confirm|reply|respond|advise|answer|share|give|tell|call|check|approve|forward|sign)" +
    "(?! (?:this|your) (?:account|identity|mailbox|password|bank|billing|payment))",
  "let (?:me|us) know(?! if you (?:have|need|run))",
  "are you (?:available|free|able|ok)|what do you think|any thoughts|do you (?:have time|think|know)",
  "(?:appreciate|need|like|love) your (?:review|input|feedback|help|thoughts|approval|decision|opinion|availability)",
  "waiting for your",
);

/** How questions begin that automatic mail asks everybody. */
export const SUPPORT_QUESTION =
  /^(?:any |more |got )?(?:questions|having (?:trouble|problems|issues)|need (?:help|assistance)|trouble|problems|not you|wasn't you|didn't (?:request|make|expect)|can't (?:see|read|view)|forgot|don't (?:want|recogni[sz]e)|no longer|was this (?:e-?mail|message|article|page|information|helpful|you))\b/;

/** Asking for a meeting. */
export const MEETING = phrases(
  "meet|meet-?ups?|meetings?(?! (?:notes|minutes|room|agenda|summary|recording|link))",
  "(?:a|an|quick|short|brief|min|minute|hour) call|catch[- ]?up|find (?:a|some) time",
  "are you (?:available|free)|your availability",
  "(?:schedule|book|set up|arrange|find) (?:[\\w-]+ ){0,4}(?:call|chat|sync|session|minutes|hour|slot)",
);

/** Signs of advertising, phishing and social digests of which one is enough. */
export const STRONG_BULK_SIGNS = [
  phrases(
    "half price|flash sale|black friday|cyber monday|free shipping|(?:shop|buy|order|act) now",
    "(?:limited[- ]time|special|exclusive|unbeatable) (?:offer|deal|discount)",
  ),
  /\d ?% off\b/,
  phrases("view (?:this |it )?(?:e-?mail |online )?(?:in|on) (?:your |the |a )?(?:web ?)?browser"),
  phrases(
    "(?:verify|validate|confirm|reactivate|unlock) your (?:account|identity|mailbox|password|bank|billing)",
    "(?:password|mailbox|account) (?:will|is about to|is set to) (?:expire|be (?:suspended|closed|deleted|locked))",
    "(?:account|mailbox|card) (?:has been|was|is) (?:temporarily )?(?:suspended|limited|restricted|blocked|on hold)",
  ),
  phrases("you(?:'ve| have) (?:won|been selected)|claim your|lottery|inheritance|casino|jackpot"),
  phrases("million (?:dollars|euros|usd)|guaranteed returns?|(?:crypto|bitcoin) (?:giveaway|investment|opportunity)"),
  phrases(
    "liked your (?:post|photo)|new connection requests?|viewed your profile|new followers?|started following you",
    "people you may know",
  ),
];

/** Signs of bulk mail that also stand in other mail; each counts once, and two are enough. */
export const WEAK_BULK_SIGNS = [
  phrases(
    "unsubscribe|opt[- ]?out|receiving this (?:e-?mail |message |newsletter )?because",
    "(?:manage|update) (?:your )?(?:e-?mail )?preferences",
  ),
  phrases(
    "newsletter|digest|weekly (?:roundup|round-up|update)|this week in|in this (?:issue|edition)|read the full",
    "subscribers?",
  ),
  /\b(?:discounts?|promo(?:tion)?s?|coupons?|vouchers?|sale|deals?|offers?)\b|\bsave (?:up to )?[$€£]?\d/,
  phrases(
    "limited time|(?:today|weekend|hours) only|last chance|ends (?:soon|tonight|today|midnight)|don't miss|hurry",
    "early[- ]bird|while (?:stocks?|supplies) last",
  ),
  phrases(
    "webinar|(?:register|sign up|subscribe|upgrade|join) (?:now|today)|(?:save|reserve|claim) (?:your|a) (?:seat|spot)",
    "free (?:trial|e-?book|demo|consultation|gift)|new arrivals|use code",
  ),
  phrases(
    "(?:boost|increase|grow|double|scale) your (?:revenue|sales|business|pipeline|traffic|ranking)",
    "companies like yours|book a demo|be open to|quick (?:demo|15-minute)|lead generation|backlinks?|guest post",
  ),
  phrases(
    "dear (?:customer|user|valued|friend|sir|account holder|winner)|click (?:here|the link|below)",
    "within (?:24|48|72) hours|gift cards?",
  ),
];

/** Feedback about how answers are written, signed or scheduled. */
export const STYLE = phrases(
  "sign|signature|repl(?:y|ies)|answers?|tone|writ(?:e|ing|ten)|drafts?|greet(?:ing)?s?|closing|language|emojis?",
  "short(?:er)?|(?<!no )long(?:er)?|brief|concise|(?:in)?formal(?:ly)?|polite|friendly|schedul(?:e|ed|ing)|meetings?|propose",
);

/** Words of which one makes feedback thanks or praise, when it has no others than these and {@link WITH_PRAISE}. */
export const PRAISE = words("thanks thank thx great good well nice perfect excellent lovely brilliant awesome");

/** Words that go with thanks and praise. */
export const WITH_PRAISE = words(
  "you so very really many much a lot for the this that it is was again and all just done work job answer answers " +
    "reply replies draft drafts email",
);

/** A statement about somebody or something. */
export const FACT = phrases("is|are|was|were|has|works|lives|likes|moved|became");

/** Asking to remember a fact, which is proposed while the email is answered. */
export const ASKED_TO_REMEMBER = /\bplease (?:remember|note) that (.{1,500})/i;

/** What stands before a statement and says nothing. */
export const LEAD_IN =
  /^(?:(?:hello|hi|hey|dear)\b[^,.!?]{0,60}, )?(?:(?:also|by the way|btw|fyi|for your information|just so you know),? )?/i;

const DAYS = "(?:mon|tues|wednes|thurs|fri|satur|sun)day";
const MONTHS = "(?:january|february|march|april|may|june|july|august|september|october|november|december)";
const NUMBER = "\\d{1,2}(?:st|nd|rd|th)?";
const DATE = `(?:now|next (?:week|month|year|${DAYS})|${DAYS}|\\d{4}-\\d\\d-\\d\\d|(?:the )?${NUMBER}(?: (?:of )?${MONTHS})?(?: \\d{4})?|${MONTHS}(?: ${NUMBER})?(?:,? \\d{4})?)`;

/**
 * How senders state something lasting about themselves, and what to write behind their name instead; undefined where
 * only their own words will do. They are matched in one sentence as it is written, without a final period.
 */
export const STATEMENTS: readonly (readonly [said: RegExp, instead: string | undefined])[] = [
  [/^I prefer (.+)$/i, " prefers $1"],
  [/^I(?: am|['’]m) ((?:on (?:\w+ )?leave|away|out of (?:the )?office|travell?ing)\b.*)$/i, " is $1"],
  [/^I(?: am|['’]m) ((?:now|the new) .+)$/i, " is $1"],
  [/^I(?: have|['’]ve)?(?: just)? moved to (.+)$/i, " moved to $1"],
  [
    /^My (?:new )?((?:phone |mobile )?number|(?:e-?mail |postal )?address|role|title|manager|assistant) is (.+)$/i,
    "'s $1 is $2",
  ],
  [/^I work (at|for|in) (.+)$/i, " works $1 $2"],
  [/^I no longer work (at|for|in|on) (.+)$/i, " no longer works $1 $2"],
  [/^I (?:do not|don['’]t) work on (.+)$/i, " does not work on $1"],
  [/^[Pp]lease call me (?!\w+day)(\p{Lu}[\p{L}'’-]*(?: \p{Lu}[\p{L}'’-]*){0,2})$/u, " is called $1"],
  [new RegExp(`^from ${DATE} on(?:wards)?,? I(?: |['’]).+$`, "i"), undefined],
];

/** Words that mean another person once they are said by somebody else. */
export const OF_THE_SPEAKER = /\b(?:I|me|my|mine|myself|we|us|our|ours|you|your|yours)\b/;

/** Verbs of which a subject has one value at a time. */
export const ONE_VALUE_VERBS: ReadonlySet<string> = new Set([
  ...words("prefers likes wants leads owns signs speaks"),
  ...["is in", "are in", "is at", "are at", "is called"],
  ...["works at", "works for", "works in", "lives in", "moved to", "reports to"],
]);

/** Verbs of which only what belongs to somebody ("Tom's number is 5") has one value: Tom is many things at once. */
export const BEING: ReadonlySet<string> = words("is are was");

/** Any of these alternatives as whole words. */
function phrases(...alternatives: string[]): RegExp {
  return new RegExp(String.raw`\b(?:${alternatives.join("|")})\b`, "i");
}

function words(list: string): ReadonlySet<string> {
  return new Set(list.split(" "));
}
