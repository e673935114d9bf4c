"""The words that decide where a sentence ends: abbreviations of several languages, sorted by what follows them.

All are in lower case and without their last stop. An abbreviation that is missing here does little harm: a stop before
a small letter does not end a sentence, whatever is before it.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ABBREVIATIONS",
    "BEFORE_NAME",
    "BEFORE_NUMBER",
    "CALENDAR",
    "CODE_BEFORE",
    "DOMAINS",
    "LABELS",
    "LETTERED",
    "MAY_END",
    "MONTHS",
    "NAMES_OF_HOURS",
    "ORDINAL_BEFORE",
    "SHORT_WORDS",
    "STARTERS",
    "STATES",
    "TITLES",
]

TITLES: Final = frozenset(("gen rep rev hon gov sen col maj capt cmdr pres adm amb pvt fr mt ft").split())
"""Titles and parts of names that are also words or units: abbreviations only with a capital, as in "Rep. Smith"."""

_NEVER: Final = frozenset(
    (
        "p.s a.k.a mr mrs ms mx dr drs prof messrs mme mmes mlle mlles mgr lt sgt cpl supt insp e.g i.e cf vs viz "
        "approx ca incl excl esp resp aka hr hrn z.b d.h u.a v.a i.d.r o.g s.o s.u z.z z.t med rer nat phil jur "
        "bzw bspw evtl ggf inkl exkl sog vgl insb dipl dr.-ing geb gest sra srta sres dra lic arq ud uds vd vds "
        "p.ej núm párrf aprox p.ex env boul sig sig.ra dott dott.ssa avv geom exmo exma ilmo dhr mevr mej bijv "
        "o.a d.w.z m.b.t t.a.v i.v.m t.o.v np tzn tj m.in tzw ul prof.dr t.ex bl.a d.v.s f.eks f.ex dvs bla mvh "
        "např tzv mudr ing bpk yth ths pgs т.е т.к т.н напр см ср им ул просп пл рис акад доц проф пгт куб кв "
        "долл г-н г-жа тов тыс örn doç sn dl dna d-na d-l ts π.χ δηλ डॉ प्रो पं कि.मी ड ডা মো ดร นพ พญ mio mrd "
        "tsd dña gral avda mw a.u.b i.p.v m.n godz inż św англ лат нем изд обл р-н f.d jfr jf"
    ).split()
)
"""Abbreviations that need a next word: a stop after them does not end a sentence."""

LABELS: Final = frozenset(
    (
        "no nos n.º n.o kl séc sécs fig figs vol vols p pp pag págs pág ch chap chaps sec secs art arts eq eqs "
        "tab ex exs op cit ref refs ver v apt rm ste hwy rte tel ext nr nrn abb kap bd s abs ziff aufl nro n° nº č "
        "str стр гл п пп ст м д кв cap pagg hfst blz tlf čl odst"
    ).split()
)
"""Before a number, a Roman numeral or a letter: "Fig. 3", "Vol. II". Before other words the stop ends the sentence."""

MONTHS: Final = frozenset(
    (
        "january february march april june july august september october november december januar jänner februar "
        "märz mai juni juli oktober dezember januari februari maart mei augustus marts ianuarie ocak şubat mart "
        "nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık jahrhundert jahrhunderts jahrhunderte "
        "weltkrieg weltkriegs"
    ).split()
)
"""After these a number with a stop is an ordinal: months, and German nouns for periods ("3. Oktober")."""

CALENDAR: Final = frozenset(
    "jan feb mar apr jun jul aug sep sept oct okt nov dec dez mon tue tues wed thu thur thurs fri sat sun".split()
)
"""Months and days. Without a capital they are ordinary words: "the sun. 8 planets"."""

BEFORE_NUMBER: Final = LABELS | CALENDAR | frozenset("c circa est".split())
"""Before a number or the next sentence: "on Dec. 5", "in Dec. We left"."""

NAMES_OF_HOURS: Final = frozenset(
    (
        "est edt cst cdt mst mdt pst pdt et ct pt gmt utc bst cet cest ist jst eastern central mountain pacific "
        "monday tuesday wednesday thursday friday saturday sunday"
    ).split()
) | (MONTHS - {"mai", "mart"})
"""Words with a capital that follow "a.m." and "p.m." in the same sentence."""

MAY_END: Final = frozenset(
    (
        "etc ecc enz usw usf osv m.m mfl m.fl o.ä u.ä u.v.m itd itp atd apod stb dll dsb dst v.v ff a.m p.m π.μ "
        "μ.μ κ.λπ κλπ κ.ά b.c a.d b.c.e c.e v.chr n.chr d.gr a.c т.д т.п др пр г гг руб коп млн млрд r.b rb ft oz "
        "lb lbs hrs kg km cm mm ml mph min mins"
    ).split()
)
"""The sentence ends after these if a capital follows: "at 5 p.m. We left"."""

BEFORE_NAME: Final = frozenset(
    (
        "u.s u.s.a u.k u.n e.u d.c inc ltd co corp llc llp plc gmbh s.a s.p.a bros jr sr esq st ste ave blvd rd "
        "ln hwy pl sq al ph.d m.d b.a m.a b.sc m.sc j.d d.d.s r.n ee rr ee.uu rr.hh dept univ assn assoc intl "
        "natl govt mfg mgmt bldg pkwy ctr div comm cie cía sté stk av tvl ibid bld max std sek jh jhd "
        "cad sok mah"
    ).split()
)
"""Possible parts of a longer name: "the U.S. Army", "Apple Inc. We sold it". The next word decides."""

STATES: Final = frozenset(
    (
        "ala ariz ark calif colo conn del fla ga ill ind kan ky la mass md mich minn miss mo mont neb nev okla ore pa "
        "penn tenn tex va vt wash wis wyo"
    ).split()
)
"""States of the U.S.: "in Austin, Tex. and". Without a capital, or as the first word, they are ordinary words."""

ABBREVIATIONS: Final = TITLES | _NEVER | BEFORE_NUMBER | MAY_END | BEFORE_NAME | STATES
"""Words after which a stop alone does not end a sentence."""

LETTERED: Final = frozenset(
    (
        "vitamin plan option grade type class group hepatitis appendix step answer choice part exhibit team model "
        "point line phase category letter variable column row stufe vitamine plano opción opzione"
    ).split()
)
"""Nouns before a single letter that is no initial: "vitamin C. Bananas"."""

ORDINAL_BEFORE: Final = frozenset(
    (
        "der die das dem den des ein eine einen einem einer im vom zum zur beim am dieser diesem diesen jeder "
        "jedem seinem seinen ihrem ihren unserem unseren"
    ).split()
)
"""German words before a number whose stop makes it an ordinal: "im 2. Stock"."""

STARTERS: Final = frozenset(
    (
        "the a an this that these those it he she we they you i my our your his her its their there here in on at "
        "by for from with without to of as and but or nor so if when while after before because although however "
        "then thus therefore meanwhile moreover also now what who whom why how where which whose whether is are "
        "was were do does did can could will would shall should may might must has have had let please no not yes "
        "ok okay all each every both another other some many most much such since until unless though yet only "
        "just even still today tomorrow yesterday next first second finally later once one everyone nobody "
        "nothing something thanks der die das ein eine einen es er sie wir ihr ich du und aber oder doch denn "
        "dann danach wenn weil als auch nun jetzt hier dort dies diese dieser wer wie wo warum heute nein ja "
        "nicht mit nach vor für im le la les un une il elle nous vous ils elles je ce cette ces c et mais ou donc "
        "puis ensuite alors si quand oui non en dans pour avec sans l d j qu el los las una unos él ella ellos "
        "ellas nosotros yo tú y e o pero porque como cuando donde luego después entonces sí este esta esto eso "
        "ese para por con sin lo gli uno lui lei noi voi loro io ma perché quando dove poi allora sì questo "
        "questa per os um uma ele ela eles nós eu mas onde depois então sim não isso em com de het een hij zij "
        "wij ik maar want dan toen ook nu daar dit dat wat hoe и а но он она оно они мы вы я это этот эта эти то "
        "что как когда если потом затем там здесь тут в на с по к для не да нет"
    ).split()
)
"""Words that have a capital at the beginning of a sentence much more often than inside one."""

CODE_BEFORE: Final = frozenset("use using call import via class method function type module package namespace".split())
"""Words before a name in a program: "call log.Fatal"."""

SHORT_WORDS: Final = frozenset(
    "it is so me us up on in to do go be he we of no my by at ok am an as if or hi ja da si tu es on".split()
)
"""Words of two letters that end sentences: in "so.Now" a space was forgotten, in "os.Exit" there is none."""

DOMAINS: Final = frozenset(
    (
        "com org net edu gov mil int info biz io ai dev app co uk eu de fr es it nl pl ru ch at us ca cn jp kr br tv "
        "xyz tech cloud site online page blog shop js ts jsx tsx py rb rs go java cpp hpp cs kt swift php pl lua sh "
        "md txt rst html htm css scss json xml yaml yml toml ini cfg conf log csv tsv sql db pdf doc docx xls xlsx "
        "ppt pptx odt png jpg jpeg gif svg webp mp mp3 mp4 wav ogg zip tar gz rar exe dll dmg iso bat env lock vue "
        "ipynb"
    ).split()
) - {"at", "it", "us", "go", "no", "so", "page", "shop", "online", "log", "site", "cloud", "lock", "de", "es"}
"""Ends of domains and of file names that do not begin a sentence: "word.word" is a name if it ends with one."""
