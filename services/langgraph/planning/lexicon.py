"""The words by which the deterministic planner knows a place, a time and a mood."""

from __future__ import annotations

from aifilm.plan import Mood, Time

# Place → what stories call it. Interiors and exteriors apart, since a shot is one or the other.
INTERIORS = {
    "lamp room": "lamp room, lantern room", "kitchen": "kitchen", "bedroom": "bedroom, nursery", "attic": "attic, loft",
    "cellar": "cellar, basement, crypt", "library": "library", "workshop": "workshop, forge, smithy", "laboratory": "laboratory, lab",
    "office": "office, newsroom", "classroom": "classroom, schoolroom", "hospital": "hospital, ward, clinic", "theatre": "theatre, theater",
    "stage": "backstage", "church": "church, chapel, cathedral, temple", "tavern": "tavern, inn, pub, bar", "cafe": "cafe, café, diner",
    "restaurant": "restaurant", "shop": "shop, store, bakery, bookshop", "train carriage": "carriage, compartment", "cabin": "cabin",
    "spaceship": "spaceship, starship, airlock, cockpit, space station", "living room": "living room, parlour, parlor, fireplace",
    "corridor": "corridor, hallway, staircase, stairwell", "hall": "hall, ballroom, throne room", "kitchen garden": "greenhouse",
    "museum": "museum, gallery", "prison cell": "prison, cell, dungeon", "cave": "cave, cavern, grotto", "mine": "mine, tunnel",
    "barn": "barn, stable", "garage": "garage", "factory": "factory, mill", "studio": "studio", "apartment": "apartment, flat",
    "tent": "tent", "elevator": "elevator",
}
EXTERIORS = {
    "harbour": "harbour, harbor, port, docks, dock, quay, wharf, pier, jetty, marina", "lighthouse": "lighthouse",
    "beach": "beach, shore, sand, dunes, seashore, coast", "sea": "sea, ocean, waves, small boat, boat, ship, deck, raft",
    "cliff": "cliff, cliffs, crag, headland", "island": "island, isle", "forest": "forest, wood, woods, woodland, jungle, pines, birches",
    "meadow": "meadow, field, fields, pasture, wheat, grassland, orchard, clearing", "garden": "garden, courtyard",
    "park": "park, playground", "mountain pass": "mountain, mountains, summit, peak, ridge, slope, glacier", "valley": "valley, canyon, gorge",
    "river bank": "river, stream, riverbank, creek, ford", "lake": "lake, pond, lagoon", "bridge": "bridge",
    "village street": "village, hamlet", "city street": "city, street, alley, avenue, pavement, sidewalk, boulevard",
    "market square": "market, bazaar, square, plaza, fairground", "rooftop": "rooftop, rooftops, roof, balcony, terrace",
    "railway station": "railway, station, platform, tracks", "road": "road, highway, lane", "desert": "desert, oasis",
    "snowfield": "snowfield, tundra, snow, ice", "swamp": "swamp, marsh, bog", "castle": "castle, fortress, palace, ruins, tower",
    "graveyard": "graveyard, cemetery, grave", "farm": "farm, farmyard, farmhouse", "moor": "moor, heath, hill, hills, hilltop",
    "moon surface": "lunar surface, crater", "space": "outer space, orbit, asteroid", "airfield": "airfield, runway, airport",
    "house": "house, cottage, porch, doorstep, hut",
}

TIMES = {
    Time.DAWN: "dawn, sunrise, daybreak, first light, early morning, cockcrow",
    Time.DAY: "noon, midday, afternoon, morning, daylight, day, sunshine, lunchtime, breakfast",
    Time.DUSK: "dusk, sunset, twilight, evening, nightfall, sundown, gloaming",
    Time.NIGHT: "night, midnight, tonight, moonlight, moon, stars, starlight, starry, nights",
}

MOODS = {
    Mood.CALM: "calm, quiet, quietly, gentle, gently, peace, peaceful, soft, softly, rest, breathes, settles, "
               "silent, silence, warm, home, sleeps, sleep, waits, drift, drifts",
    Mood.TENSE: "storm, danger, dangerous, dark, darkness, fear, afraid, chase, chases, hunt, gun, knife, blood, scream, "
                "screams, shout, shouts, break, breaks, breaking, broken, thunder, lightning, fire, flames, enemy, hide, hides, shadow, "
                "shadows, threat, trembling, shake, shakes, dies, drown, drowning, missing, lost, alarm, suddenly, fight, trap, trapped, "
                "howls, crash, crashes",
    Mood.JOYFUL: "joy, joyful, laugh, laughs, laughing, laughter, smile, smiles, smiling, dance, dances, dancing, sing, sings, singing, "
                 "happy, party, feast, celebrate, celebration, cheer, cheers, embrace, embraces, wedding, birthday, play, plays, kiss, hugs, "
                 "proud, delight, arms wide, sun, sunshine",
    Mood.SAD: "sad, sorrow, grief, grieves, weep, weeps, weeping, tears, tear, cry, cries, crying, mourn, mourns, alone, lonely, goodbye, "
              "farewell, funeral, grave, death, dead, loss, sigh, sighs, empty, forgotten, regret, leaves her, leaves him",
    Mood.WONDER: "wonder, wonders, marvel, miracle, magic, magical, glow, glows, glowing, shimmer, shimmers, sparkle, spark, light, lights, stars, "
                 "star, secret, dream, dreams, discover, discovers, strange, mysterious, ancient, golden, vast, awe, never seen, opens, sunrise",
}

# Nobody's name, though they stand capitalised at the start of a sentence, or anywhere.
NOT_NAMES = frozenset("""
a an the this that these those there here it its he his him she her hers they their theirs them we our us you your i my me who whom whose what which
when where why how and or but nor so yet for if then than as at by from in into of off on onto out over to up down with without within under
above below behind beside besides between beyond through across along around after before until while since during against among near
inside outside upon toward towards round far high low deep once twice again always never often sometimes soon later now today tonight tomorrow
yesterday suddenly slowly quietly finally still even only just both each every all any some many most few more much no not none nothing something
someone somebody everyone everybody nobody everything one two three four five six seven eight nine ten eleven twelve hundred thousand first second
third last next another other others same such own very too also because though although however meanwhile instead perhaps maybe yes oh ah well
is are was were be been being am do does did done have has had will would can could shall should may might must let said says
january february march april may june july august september october november december monday tuesday wednesday thursday friday saturday sunday
spring summer autumn fall winter christmas easter morning evening night dawn dusk noon midnight day
north south east west english french german italian spanish chinese japanese god lord sir madam mister
int ext scene act chapter end title fade cut interior exterior
it's he's she's that's there's i'm don't i'll we'll you'll
""".split())

HONORIFICS = frozenset("mr mrs ms miss dr doctor professor captain capt lady lord sir madam king queen prince princess aunt uncle grandma grandpa "
                       "grandmother grandfather granny father mother brother sister old young little saint general sergeant colonel officer "
                       "detective inspector commander chief agent nurse master".split())

# Verbs that only somebody does: one beside a capitalised word makes it a name.
DEEDS = frozenset("""
says said asks asked answers answered whispers whispered shouts shouted cries cried calls called murmurs murmured laughs laughed smiles smiled
nods nodded thinks thought knows knew looks looked sees saw watches watched hears heard feels felt walks walked runs ran stands stood sits sat
waits waited takes took gives gave holds held finds found lifts lifted turns turned opens opened closes closed kneels knelt climbs climbed
steps stepped pulls pulled pushes pushed reaches reached comes came goes went leaves left arrives arrived returns returned sleeps slept wakes woke
writes wrote reads reads draws drew paints painted plays played sings sang dances danced builds built mends mended lights lit strikes struck
wades waded swims swam rides rode drives drove flies flew dreams dreamed remembers remembered wants wanted loves loved hates hated fears feared
follows followed hides hid fights fought carries carried brings brought puts put lays laid wears wore lives lived works worked tries tried
stares stared gazes gazed listens listened speaks spoke tells told begins began stops stopped keeps kept unties wrings
""".split())

SHE, HE, THEY = frozenset({"she", "her", "hers", "herself"}), frozenset({"he", "his", "him", "himself"}), frozenset({"they", "them"})

# What asks for a close shot.
CLOSE_UPS = frozenset("eye eyes face hand hands finger fingers palm lips tear tears smile smiles whisper whispers letter key keys ring photograph "
                      "match flame spark watch scarf button coin note tear cheek".split())


def phrases(entries: dict) -> list[tuple[str, object]]:
    """(phrase, entry) pairs, longest phrase first so that «space station» is found before «station»."""
    pairs = [(phrase.strip(), key) for key, listed in entries.items() for phrase in listed.split(",") if phrase.strip()]
    return sorted(pairs, key=lambda pair: (-len(pair[0].split()), -len(pair[0]), pair[0]))
