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
    "snowfield": "snowfield, tundra, snow, ice", "swamp": "swamp, marsh, bog", "castle": "castle, fortress, palace, ruins", "tower": "tower, turret",
    "graveyard": "graveyard, cemetery, grave", "farm": "farm, farmyard, farmhouse", "moor": "moor, heath, hill, hills, hilltop",
    "moon surface": "lunar surface, crater", "space": "outer space, orbit, asteroid", "airfield": "airfield, runway, airport",
    "house": "house, cottage, porch, doorstep, hut",
}

# The same in Portuguese, without words that English has too.
PORTUGUESE_PLACES = {
    "kitchen": "cozinha", "bedroom": "quarto, dormitório", "attic": "sótão", "cellar": "porão, adega, cripta", "library": "biblioteca",
    "workshop": "oficina, ateliê, ferraria", "laboratory": "laboratório", "office": "escritório, redação", "classroom": "sala de aula, escola",
    "hospital": "enfermaria, clínica, ambulatório", "theatre": "teatro", "church": "igreja, capela, catedral, templo", "tavern": "taberna, taverna, boteco",
    "restaurant": "restaurante", "shop": "loja, padaria, livraria, mercearia, farmácia", "train carriage": "vagão, carruagem", "cabin": "cabine",
    "living room": "sala, sala de estar, lareira", "corridor": "corredor, escada, escadaria", "hall": "salão", "museum": "museu, galeria",
    "prison cell": "prisão, cela, calabouço, masmorra", "cave": "caverna, gruta", "mine": "túnel", "barn": "celeiro, estábulo, curral", "garage": "garagem",
    "factory": "fábrica", "apartment": "apartamento", "spaceship": "nave espacial, estação espacial", "tent": "tenda, barraca", "lamp room": "sala da lâmpada",
    "harbour": "porto, cais, doca", "lighthouse": "farol", "beach": "praia, areia, costa", "sea": "mar, oceano, ondas, barco, navio, jangada",
    "cliff": "falésia, penhasco", "island": "ilha", "forest": "floresta, bosque, mata, selva", "meadow": "campo, campos, prado, pasto, pomar, clareira",
    "garden": "jardim, pátio, quintal", "park": "parque", "mountain pass": "montanha, montanhas, serra, cume", "valley": "vale", "river bank": "rio, riacho, ribeira",
    "lake": "lago, lagoa", "bridge": "ponte", "village street": "aldeia, vila, vilarejo", "city street": "cidade, rua, beco, avenida, calçada",
    "market square": "mercado, feira, praça", "rooftop": "telhado, varanda, terraço", "railway station": "estação, estação de trem, comboio", "road": "estrada",
    "desert": "deserto", "snowfield": "neve, gelo", "swamp": "pântano, brejo", "castle": "castelo, fortaleza, palácio, ruínas", "tower": "torre",
    "graveyard": "cemitério, túmulo, sepultura", "farm": "fazenda, sítio, quinta", "moor": "colina, colinas, charneca", "airfield": "aeroporto",
    "house": "casa, cabana, casebre",
}
# A word that several places have is of the one that the story names elsewhere.
PARTS_OF = {"tower": ("lighthouse", "castle", "church")}

TIMES = {
    Time.DAWN: "dawn, sunrise, daybreak, first light, early morning, cockcrow, "
               "amanhecer, alvorada, madrugada, nascer do sol, de manhã cedo, manhã cedo",
    Time.DAY: "noon, midday, afternoon, morning, daylight, day, sunshine, lunchtime, breakfast, "
              "manhã, meio-dia, tarde, dia, almoço",
    Time.DUSK: "dusk, sunset, twilight, evening, nightfall, sundown, gloaming, "
               "entardecer, anoitecer, crepúsculo, pôr do sol, fim da tarde, fim de tarde",
    Time.NIGHT: "night, midnight, tonight, moonlight, moon, stars, starlight, starry, nights, "
                "noite, noites, meia-noite, luar, estrelas",
}

MOODS = {
    Mood.CALM: "calm, quiet, quietly, gentle, gently, peace, peaceful, soft, softly, rest, breathes, settles, "
               "silent, silence, warm, home, sleeps, sleep, waits, drift, drifts, "
               "calma, quieto, quieta, paz, silêncio, suave, descansa, dorme, espera",
    Mood.TENSE: "storm, danger, dangerous, dark, darkness, fear, afraid, chase, chases, hunt, gun, knife, blood, scream, "
                "screams, shout, shouts, break, breaks, breaking, broken, thunder, lightning, fire, flames, enemy, hide, hides, shadow, "
                "shadows, threat, trembling, shake, shakes, dies, drown, drowning, missing, lost, alarm, suddenly, fight, trap, trapped, "
                "howls, crash, crashes, "
                "tempestade, perigo, perigoso, medo, escuridão, grito, grita, sangue, faca, fogo, chamas, trovão, foge, ameaça, perdido, perdida, quebra",
    Mood.JOYFUL: "joy, joyful, laugh, laughs, laughing, laughter, smile, smiles, smiling, dance, dances, dancing, sing, sings, singing, "
                 "happy, party, feast, celebrate, celebration, cheer, cheers, embrace, embraces, wedding, birthday, play, plays, kiss, hugs, "
                 "proud, delight, arms wide, sun, sunshine, "
                 "alegria, alegre, feliz, riso, ri, riem, sorri, sorriem, sorriso, dança, dançam, canta, cantam, festa, abraça, abraçam, beija, casamento, sol",
    Mood.SAD: "sad, sorrow, grief, grieves, weep, weeps, weeping, tears, tear, cry, cries, crying, mourn, mourns, alone, lonely, goodbye, "
              "farewell, funeral, grave, death, dead, loss, sigh, sighs, empty, forgotten, regret, leaves her, leaves him, "
              "triste, tristeza, chora, choram, lágrima, lágrimas, luto, sozinho, sozinha, saudade, adeus, funeral, enterro, morte, morto, morta, vazio, vazia",
    Mood.WONDER: "wonder, wonders, marvel, miracle, magic, magical, glow, glows, glowing, shimmer, shimmers, sparkle, spark, light, lights, stars, "
                 "star, secret, dream, dreams, discover, discovers, strange, mysterious, ancient, golden, vast, awe, never seen, opens, sunrise, "
                 "maravilha, magia, mágico, mágica, milagre, brilha, brilham, luz, luzes, estrela, segredo, sonho, sonha, descobre, mistério, misterioso, antigo, antiga",
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
o os as um uma uns umas de do da dos das em no na nos nas num numa por pelo pela para com sem sob sobre até entre desde e ou mas porém que quem quando onde como
se não sim já ainda também só então depois antes enquanto agora hoje ontem amanhã ele ela eles elas eu nós você vocês lhe seu sua seus suas meu minha este esta
esse essa isto isso aquele aquela aquilo todos todas todo toda ninguém alguém nada tudo cada outro outra à às ao aos lá ali aqui é era foi está
manhã tarde noite madrugada dia janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro segunda terça quarta quinta sexta
sábado domingo natal deus
january february march april may june july august september october november december monday tuesday wednesday thursday friday saturday sunday
spring summer autumn fall winter christmas easter morning evening night dawn dusk noon midnight day
north south east west english french german italian spanish chinese japanese god lord sir madam mister
int ext scene act chapter end title fade cut interior exterior
it's he's she's that's there's i'm don't i'll we'll you'll
""".split())

HONORIFICS = frozenset("mr mrs ms miss dr doctor professor captain capt lady lord sir madam king queen prince princess aunt uncle grandma grandpa "
                       "grandmother grandfather granny father mother brother sister old young little saint general sergeant colonel officer "
                       "detective inspector commander chief agent nurse master dona senhor senhora doutor doutora padre irmão irmã tio tia avó avô vovó vovô seu dom "
                       "capitão professora velho velha".split())

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
diz disse pergunta perguntou responde respondeu sussurra sussurrou grita gritou chama chamou ri riu sorri sorriu pensa pensou sabe sabia olha olhou vê viu ouve
ouviu sente sentiu anda andou caminha caminhou corre correu espera esperou pega pegou dá deu segura segurou encontra encontrou procura procurou acha achou levanta
levantou abre abriu fecha fechou sobe subiu desce desceu puxa puxou chega chegou vem veio vai sai saiu entra entrou volta voltou dorme dormiu acorda acordou
escreve escreveu lê leu desenha pinta toca tocou canta cantou dança dançou conserta constrói acende acendeu apaga nada nadou sonha sonhou lembra lembrou quer ama
amou segue seguiu esconde leva levou traz trouxe põe pôs coloca veste mora trabalha tenta tentou fala falou conta contou começa para parou chora chorou abraça
""".split())

SHE = frozenset({"she", "her", "hers", "herself", "ela", "dela", "nela"})
HE = frozenset({"he", "his", "him", "himself", "ele", "dele", "nele"})
THEY = frozenset({"they", "them", "both", "eles", "elas", "deles", "delas", "dois", "duas"})

# First names that tell. Those of both, and those that are words as well, are left out.
WOMEN = frozenset("""
ada agnes aisha alice alma amelia ana ângela angela anna anne annie beatriz bella bianca camila carla carmen carolina catarina cecilia cecília charlotte
chiara chloe clara claudia cristina daniela diana dora edith elena elisa elisabeth elizabeth ella elsa emilia emily emma erika eva fatima fátima fernanda
flora francisca frida gabriela gertrude greta hanna hannah helen helena heidi ida inês ines ingrid irene isabel isabella jana jane joana josefa julia júlia
juliana karin kate katharina klara lara laura lena leonor lina lisa lotte lúcia lucia lucy luísa luisa madalena mara margarida margaret maria mariana marie
marta martha mary matilda mia miriam monica nadia natalia nina nora olga olivia paula petra raquel rachel rita rosa ruth sara sarah silvia sofia sophie susan
susana teresa tereza ursula valentina vera victoria vitória yara zoe zoë
""".split())
MEN = frozenset("""
adam afonso albert alberto alexander alexandre alfred andré andrew anton antónio antônio antonio arthur artur ben benjamin bernardo bruno carl carlos charles
daniel david diego diogo duarte eduardo edward elias emil erik ernst étienne fabio felipe félix felix fernando francisco frank fred frederico gabriel georg
george gustav gustavo hans harry heinrich henri henrique henry hugo ivan jack jacob james jan jean jim joão joaquim john jonas jorge josé joseph juan karl klaus
lars leo leonardo lorenzo louis lucas luís luis luiz manuel marcel marcelo marco marcos mario mário martin mateus matias matteo max miguel michael miro moritz
nicolas nuno oliver oscar otto pablo patrick paul paulo pedro peter philip pierre rafael ricardo richard robert roberto rodrigo rui samuel sebastian sergio
simon søren stefan thiago thomas tiago tim tom tomas tomás tommy toni vasco victor vincent walter william wolfgang xavier
""".split())

# What asks for a close shot.
CLOSE_UPS = frozenset("olho olhos rosto mão mãos dedo dedos lábios lágrima lágrimas sorriso carta chave anel vela eye eyes face hand hands finger fingers palm lips tear tears smile smiles whisper whispers letter key keys ring photograph "
                      "match flame spark watch scarf button coin note tear cheek".split())


def phrases(entries: dict) -> list[tuple[str, object]]:
    """(phrase, entry) pairs, longest phrase first so that «space station» is found before «station»."""
    pairs = [(phrase.strip(), key) for key, listed in entries.items() for phrase in listed.split(",") if phrase.strip()]
    return sorted(pairs, key=lambda pair: (-len(pair[0].split()), -len(pair[0]), pair[0]))
