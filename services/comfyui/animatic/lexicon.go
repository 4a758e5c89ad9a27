package animatic

import "strings"

// table turns "value: word, word, two words; value: …" into a map from word to value.
func table(lines string) map[string]string {
	t := map[string]string{}
	for line := range strings.SplitSeq(lines, ";") {
		value, list, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		for word := range strings.SplitSeq(list, ",") {
			t[strings.TrimSpace(word)] = strings.TrimSpace(value)
		}
	}
	return t
}

// The lexicon knows English best (planners write prompts in it) and the commonest words of some other languages.
var (
	sizes = table(`close: close, closeup, close up, close shot, portrait, nahaufnahme, gros plan, 特写;
		medium: medium, medium shot, mid shot, waist, halbnah, plan moyen, 中景;
		wide: wide, establishing, long shot, panorama, landscape, totale, plan large, 远景`)

	insides = table(`in: interior, inside, indoors, int, innen, intérieur; out: exterior, outside, outdoors, ext, außen, extérieur`)

	times = table(`dawn: dawn, sunrise, daybreak, early morning, first light, morgengrauen, morgen, aube, amanecer, alba, 晨;
		dusk: dusk, sunset, twilight, evening, golden hour, abend, dämmerung, crépuscule, soir, atardecer, tramonto, 夕, 黄昏;
		night: night, midnight, moonlight, moonlit, starlight, starry, nacht, nuit, noche, notte, ночь, 夜;
		day: day, noon, midday, morning, afternoon, daylight, sunny, tag, mittag, jour, día, giorno, день, 昼, 日`)

	moods = table(`calm: calm, quiet, peaceful, serene, gentle, ruhig; tense: tense, danger, dangerous, fear, ominous, suspense, angry, dread, storm, spannung;
		joyful: joyful, happy, joy, cheerful, bright, merry, festive, fröhlich; sad: sad, lonely, melancholy, grief, sorrow, mourning, traurig;
		wonder: wonder, magical, magic, dreamlike, awe, mystery, mysterious, enchanted, wunder`)

	weathers = table(`rain: rain, rainy, raining, drizzle, regen, pluie, lluvia, дождь, 雨;
		storm: storm, stormy, thunder, lightning, tempest, gale, sturm, gewitter, orage, tormenta;
		snow: snow, snowy, snowing, snowfall, blizzard, schnee, neige, nieve, снег, 雪;
		fog: fog, foggy, mist, misty, haze, hazy, nebel, brouillard, niebla, туман, 霧, 雾;
		clouds: cloudy, overcast, clouds, wolken, nuages`)

	places = table(`harbour: harbour, harbor, port, pier, dock, quay, jetty, wharf, marina, hafen, quai, puerto, porto, порт, 港;
		sea: sea, ocean, open water, waves, island, lagoon, meer, insel, mer, océan, mar, mare, море, 海;
		deck: deck, on board, aboard, on deck, trawler deck;
		beach: beach, shore, seashore, coast, sand, strand, küste, plage, playa, spiaggia, пляж, 浜;
		cliff: cliff, cliffs, headland, klippe, falaise, acantilado, lighthouse, leuchtturm, phare, faro;
		forest: forest, wood, woods, jungle, grove, clearing, wald, forêt, bosque, foresta, лес, 森, 林;
		field: open landscape, field, fields, meadow, hill, hills, farm, farmland, grassland, prairie, valley, plain, garden, park, orchard, vineyard, road, path, airfield, runway, highway, moor, heath, feld, wiese, champ, campo, поле, 野, 原;
		village: village, hamlet, cottage, town, churchyard, graveyard, cemetery, market, square, dorf, pueblo, village square, деревня, 村;
		city: city, street, alley, downtown, skyscraper, rooftop, metropolis, railway station, railway, platform, tracks, boulevard, pavement, bus stop, avenue, neon, stadt, straße, strasse, ville, rue, ciudad, calle, città, город, 城, 街, 市;
		desert: desert, dunes, dune, canyon, wasteland, sahara, mars, wüste, désert, desierto, пустыня, 沙;
		mountain: mountain, mountains, peak, summit, ridge, alps, pass, berg, berge, gebirge, montagne, montaña, гора, горы, 山;
		snowfield: snowfield, snow field, tundra, arctic, glacier, ice, frozen, antarctic, north pole, eis;
		space: space, orbit, galaxy, outer space, moon surface, asteroid, planet, cosmos, weltraum, espace, espacio, космос, 宙;
		lake: lake, river, pond, riverbank, stream, waterfall, canal, bridge, swamp, marsh, see, fluss, lac, rivière, lago, río, озеро, река, 湖, 川, 河;
		cave: cave, cavern, grotto, mine, tunnel, höhle, grotte, cueva, пещера, 洞;
		castle: castle, fortress, palace, ruins, ruin, temple, tower, burg, schloss, château, castillo, замок;
		lamproom: lamp room, lantern room, lighthouse interior, lighthouse stairs, lighthouse stair;
		kitchen: kitchen, küche, cuisine, cocina, galley; library: library, bookshop, study, archive, bibliothek, bibliothèque;
		workshop: workshop, garage, laboratory, lab, studio, forge, factory, atelier, werkstatt, boathouse, shed, hangar, engine room;
		bedroom: bedroom, attic, nursery, dormitory, schlafzimmer, chambre;
		ship: spaceship, cockpit, space station, starship, bridge of the ship, capsule, control room, submarine, raumschiff;
		hall: hall, church, cathedral, theatre, theater, museum, court, ballroom, theatre, stage, corridor, hallway, school, classroom, station, train station, kirche, église;
		room: room, living room, house, home, cabin, hut, inn, tavern, pub, cafe, café, bar, restaurant, office, shop, store, cellar, zimmer, haus, stube, chambre, maison, casa, комната, дом, 室, 部屋, 家`)

	rooms   = []string{"room", "kitchen", "library", "workshop", "bedroom", "ship", "hall", "lamproom", "cave"}
	roomOf  = map[string]string{"cliff": "lamproom", "castle": "hall", "space": "ship", "village": "room", "deck": "room", "cave": "cave"}
	placeOf = map[string]string{"room": "village", "kitchen": "village", "library": "city", "workshop": "harbour",
		"bedroom": "village", "ship": "space", "hall": "castle", "lamproom": "cliff", "cave": "mountain"}

	props = table(`lighthouse: lighthouse, leuchtturm, phare, faro, lighthouses, маяк, 灯台, 灯塔;
		boat: boat, rowboat, rowing boat, dinghy, canoe, fishing boat, skiff, boot, bateau, barco, лодка, 船;
		ship: ship, sailboat, sailing ship, schooner, vessel, steamer, ferry, yacht, trawler, schiff, navire, корабль;
		dog: dog, hound, puppy, hund, chien, perro, собака, 犬, 狗; cat: cat, kitten, katze, chat, gato, кошка, 猫;
		horse: horse, pony, pferd, cheval, caballo; gulls: gull, seagull, seagulls, gulls, bird, birds, crow, raven, möwe, vogel, oiseau, pájaro, 鳥;
		tree: tree, oak, pine, baum, arbre, árbol, дерево, 木; house: house, cottage, hut, cabin, barn, farmhouse, haus, maison;
		lamppost: lamp post, lamppost, street lamp, streetlight, streetlamp, lantern post, laterne;
		lantern: lantern, lamp, oil lamp, torch, candle, lampe, linterna, lanterne, фонарь, 灯; fire: fire, campfire, bonfire, flames, fireplace, feuer, feu, fuego, 火;
		car: car, taxi, truck, van, auto, voiture, coche, bus; bicycle: bicycle, bike, fahrrad, vélo;
		table: table, desk, tisch, mesa, bureau; chair: chair, stool, bench, armchair, stuhl, chaise, silla;
		bed: bed, bett, lit, cama; books: book, books, bookshelf, shelf, shelves, bücher, livre, libro; window: window, windows, fenster, fenêtre, ventana;
		crate: crate, crates, box, chest, barrel, barrels, suitcase, trunk, kiste; net: net, nets, fishing net, rope, ropes, netz;
		tent: tent, zelt, tente; tower: tower, clock tower, spire, church, turm, tour, torre; castle: castle, fortress, palace, burg, schloss, château;
		bridge: bridge, brücke, pont, puente; windmill: windmill, mill, mühle; balloon: balloon, hot air balloon, airship, ballon; kite: kite, drachen;
		rocket: rocket, spaceship, starship, rakete; planet: planet, moons, saturn, earth; moon: moon, full moon, mond, lune, luna, луна, 月;
		train: train, locomotive, zug; whale: whale, wal, dolphin, baleine; flowers: flower, flowers, roses, poppies, blumen, fleurs;
		fence: fence, gate, zaun; rocks: rock, rocks, boulder, boulders, felsen, rocher; telescope: telescope, fernrohr; letter: letter, map, note, brief;
		robot: robot, roboter; piano: piano, klavier; umbrella: umbrella, regenschirm; well: well, fountain, brunnen; snowman: snowman; statue: statue, monument`)

	genders = table(`woman: woman, girl, lady, mother, grandmother, queen, princess, sister, daughter, witch, aunt, wife, she, her, fisherwoman, actress, nun, heroine, frau, mädchen, femme, fille, mujer, niña, женщина, девочка, 女;
		man: man, boy, father, grandfather, king, prince, brother, son, wizard, uncle, husband, he, his, fisherman, lad, monk, gentleman, bearded, mann, junge, homme, garçon, hombre, niño, мужчина, мальчик, 男`)
	ages = table(`child: child, boy, girl, kid, toddler, young boy, young girl, niece, nephew, grandson, granddaughter, junge, mädchen, kind, garçon, fille, niño, niña, little, of six, of seven, of eight, of nine, of ten, of eleven, of twelve, schoolboy, schoolgirl, мальчик, девочка, 子;
		old: old, elderly, aged, grandmother, grandfather, ancient, grey haired, white haired, wrinkled, alt, alte, alter, vieux, vieille, viejo, vieja, retired, sixty, seventy, eighty, ninety, of sixty, of seventy, of eighty, of ninety, pensioner, 老;
		adult: adult, woman, man, young woman, young man`)
	garments = table(`raincoat: raincoat, oilskin, oilskins, slicker, regenmantel, ciré; coat: coat, overcoat, trench coat, parka, mantel, manteau, abrigo, uniform;
		dress: dress, gown, skirt, apron, kleid, robe, vestido; cloak: cloak, cape, umhang, cloaked, robes; jacket: jacket, blazer, anorak, vest, jacke, veste;
		sweater: sweater, jumper, pullover, jersey, cardigan, hoodie; shirt: shirt, blouse, t shirt, hemd, chemise; suit: suit, tuxedo, anzug, spacesuit, space suit, armour, armor`)
	hats = table(`brim: hat, straw hat, sombrero, fedora, sou wester, hut, chapeau; cap: cap, captain's cap, peaked cap, beret, mütze, casquette; beanie: beanie, woolly hat, wool hat, knit cap, bonnet;
		hood: hood, hooded, kapuze; crown: crown, krone; helmet: helmet, spacesuit, space suit, astronaut, diver, helm; scarf: headscarf, kerchief, kopftuch; witch: witch, wizard`)
	hairs = table(`long: long hair, long haired; bun: bun, hair in a bun; braid: braid, braids, plait, pigtails, ponytail; bald: bald, shaved, glatze; curly: curls, curly, curly hair;
		white: white hair, grey hair, gray hair, white haired, grey haired, silver hair; red: red hair, red haired, ginger, redhead; blond: blond, blonde, fair haired; black: black hair, dark hair, dark haired; brown: brown hair`)
	holdable = table(`lantern: lantern, lamp, torch, candle, laterne, lampe, lanterne; umbrella: umbrella, regenschirm; staff: staff, cane, walking stick, stick, spear, oar; book: book, map, letter, notebook, diary;
		bag: bag, suitcase, satchel, briefcase, basket, bucket, backpack; balloon: balloon; kite: kite; sword: sword; fish: fish; net: net; telescope: telescope, spyglass; flower: flower, flowers, rose, bouquet`)

	// Words for people that don't tell how to draw them.
	folk = map[string]bool{"knight": true, "captain": true, "sailor": true, "keeper": true, "soldier": true, "apprentice": true, "child": true,
		"teacher": true, "farmer": true, "doctor": true, "detective": true, "traveller": true, "traveler": true, "stranger": true, "astronaut": true,
		"pilot": true, "musician": true, "baker": true, "hunter": true, "kind": true, "enfant": true, "人": true, "person": true}

	// First names whose ending doesn't tell; for the others see genderOf.
	women = table(`woman: ines, ingrid, anne, alice, ruth, rachel, sarah, elizabeth, grace, helen, margaret, chloe, zoe, emily, mary, lucy, hannah, esther,
		eleanor, iris, agnes, astrid, sigrid, ellen, june, rose, dawn, jane, kate, beth, isabel, carmen, noor, yuki, mei, aiko, lily, ivy, hazel, judith, abigail,
		doris, gwen, karin, kirsten, linh, maud, miriam, nell, pearl, peg, robin, sue, violet, wren, xiu, yael`)
	men = table(`man: étienne, etienne, pierre, philippe, antoine, luca, joshua, noah, ezra, elijah, jonah, micah, nikita, ilya, misha, kolya, sasha, mika, akira, costa, attila`)

	colours = map[string]rgb{
		"yellow": hex(0xe9b92f), "red": hex(0xb8352f), "blue": hex(0x3a66a8), "green": hex(0x4b7d4a), "white": hex(0xe6e2d8),
		"black": hex(0x2b2b33), "grey": hex(0x8a8d94), "gray": hex(0x8a8d94), "brown": hex(0x7a5638), "orange": hex(0xd97a2c),
		"purple": hex(0x74508f), "violet": hex(0x74508f), "pink": hex(0xd98a9d), "turquoise": hex(0x3b9a99), "teal": hex(0x2f7f80),
		"gold": hex(0xd1a23c), "golden": hex(0xd1a23c), "silver": hex(0xb8bcc4), "beige": hex(0xcdb994), "cream": hex(0xe6dcc0),
		"navy": hex(0x2a3c66), "crimson": hex(0x9c2433), "scarlet": hex(0xc5302c), "maroon": hex(0x6f2b33), "olive": hex(0x74743c),
		"gelb": hex(0xe9b92f), "gelben": hex(0xe9b92f), "rot": hex(0xb8352f), "roten": hex(0xb8352f), "blau": hex(0x3a66a8), "blauen": hex(0x3a66a8),
		"grün": hex(0x4b7d4a), "grünen": hex(0x4b7d4a), "jaune": hex(0xe9b92f), "rouge": hex(0xb8352f), "bleu": hex(0x3a66a8), "vert": hex(0x4b7d4a),
		"amarillo": hex(0xe9b92f), "rojo": hex(0xb8352f), "azul": hex(0x3a66a8), "verde": hex(0x4b7d4a),
	}
	wardrobe = []rgb{hex(0xa8433a), hex(0x3f6795), hex(0x5d7f4e), hex(0xc98b3a), hex(0x74546f), hex(0x3d8280), hex(0xb87263), hex(0x55607f), hex(0x8e6b41), hex(0xc9a24b)}
)
