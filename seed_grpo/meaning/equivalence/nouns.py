"""What answers count, and what money is called: words behind a number that may be left out.

A written list, on purpose: behind a number, any other word is part of the answer ("5 or more", "5 is wrong", "n must be
even"). Each word in the singular; plurals in -s, -es and -ies are found by rule, other plurals stand here too.
"""

from __future__ import annotations

CURRENCIES = frozenset(
    "dollar cent euro pound penny pence pennies nickel dime quarter ruble rouble kopeck kopek kopecks yuan yen rupee "
    "peso won franc shilling crown mark krona krone lira baht dinar real buck jiao rmb".split()
)
NOUNS = frozenset(
    # mathematics
    """
    unit way point digit element vector row column solution root zero term factor divisor multiple integer
    number prime fraction value pair triple tuple subset set permutation combination arrangement sequence
    function polynomial triangle square rectangle circle polygon quadrilateral hexagon pentagon region side edge
    vertex vertices face diagonal angle line segment plane area cube sphere chord arc step move turn toss flip
    roll trial outcome case path route game round match matches match-up intersection graph node tile block cell
    grid dot word letter code string bit byte gigabyte megabyte kilobyte time lap rotation revolution cycle tree
    page
    """.split()
    # people and animals
    + """
    person people man men woman women child children kid boy girl baby student pupil teacher worker employee
    player member friend guest customer visitor passenger adult senior patient voter sibling brother sister son
    daughter twin grandchildren grandchild nephew niece cousin parent family families team class classes group
    couple participant athlete soldier driver camper camp swimmer runner surfer dancer singer actor doctor nurse
    farmer neighbor male female attendee classmate animal dog cat puppy kitten bird chicken hen chick duck
    duckling goose geese turkey fish fishes goldfish guppy shark dolphin whale cow bull calf horse pony pig
    sheep lamb goat rabbit bunny mouse mice rat frog toad tadpole turtle snake lizard alligator elephant lion
    tiger bear monkey penguin parrot owl bee ant bug fly spider butterfly snail worm insect pet kangaroo rook
    donkey crab flea cattle deer head leg wing horn tail ear eye tooth teeth hand finger toe foot
    """.split()
    # food
    + """
    apple orange banana pear peach plum grape cherry lemon lime melon watermelon mango pineapple strawberry
    blueberry berry coconut avocado papaya tomato potato carrot onion pepper cucumber pumpkin mushroom bean pea
    nut peanut acorn egg cookie cake cupcake brownie muffin pie tart donut doughnut biscuit pancake pastry pizza
    sandwich sandwiches burger hamburger hotdog burrito taco fry fries chip cracker pretzel candy candies sweet
    lollipop chocolate marshmallow jellybean gumball gum popsicle pickle loaf loaves bread roll bun bagel cheese
    steak meatball sausage shrimp oyster meal snack serving slice piece bite calorie drink soda juice milk
    coffee tea milkshake cereal rice flour sugar candy-bar bar kernel seed raisin
    """.split()
    # things
    + """
    thing item object product gift present prize toy doll ball balloon marble block brick bead button sticker
    stamp card ticket coin bill token chip coupon book novel notebook magazine newspaper paper sheet page
    chapter poem story letter email message text note photo picture painting drawing poster video movie film
    song album episode show channel pen pencil crayon marker eraser ruler folder file bag box boxes bottle can
    jar cup glass glasses mug bowl plate dish spoon fork knife knives pot pan basket bucket pail crate carton
    barrel tank tub tube pack packet package packs bundle bunch batch load pile stack bale sack suitcase
    container envelope case shelf shelves drawer tray stick pole rod pipe board plank beam log branch rope
    string wire chain thread yarn ribbon cloth fabric towel blanket pillow rug carpet mat curtain shirt dress
    pants jean sock shoe boot sneaker hat cap coat jacket sweater scarf scarves glove mitten belt skirt tie
    uniform outfit clothes necklace bracelet earring ring watch pin badge mask wig costume bed chair table desk
    lamp bulb light candle window door wall floor room bedroom bathroom house home apartment building store shop
    school office garden yard lawn park pool road street bridge tunnel car truck bus buses van train plane
    bicycle bike wheel tire boat ship vehicle machine computer phone tablet laptop battery tool nail screw bolt
    nut hammer saw needle stitch stitches stone rock pebble gem gemstone shell seashell jewel diamond flower
    rose tulip daisy daisies lily lilies carnation sunflower petal leaf leaves plant bush vine crop stem shot
    goal hit run touchdown point score foul mistake error question problem answer puzzle quiz quizzes test exam
    lesson lecture course session meeting trip flight visit journey ride drive walk lap jump skip hop pushup
    push-up situp sit-up pull-up exercise rep haircut medal trophy firework matchstick toothpick toothbrush
    diaper pill vitamin bandage feather bone star planet sign level grade rank dance instrument drum guitar
    piano flag banner tent kite sled skate surfboard swing slide chore task job order sale purchase transaction
    call vote customer tile shingle panel beaker flask sample species spot stripe scoop dose drop pinch helping
    round set group row layer section part portion share fraction seat stall space slot position place car-load
    bullet rental widget lot
    """.split()
)
ADJECTIVES = frozenset(
    "red blue green yellow black white brown orange purple pink gray grey gold silver different distinct possible "
    "total whole old".split()
)
"""May stand before a counted noun, and behind years."""


def is_counted(word: str) -> bool:
    """Whether a word is on the list, in the singular or the plural."""
    return any(form in NOUNS or form in CURRENCIES for form in _forms(word.lower()))


def singular(word: str) -> str:
    """The form of a listed word that stands on the list."""
    return next((form for form in _forms(word.lower()) if form in NOUNS or form in CURRENCIES), word.lower())


def _forms(word: str) -> list[str]:
    """What a word may be the plural of, then itself."""
    forms = []
    if word.endswith("ies"):
        forms.append(word[:-3] + "y")
    if word.endswith("es"):
        forms.append(word[:-2])
    if word.endswith("s"):
        forms.append(word[:-1])
    return [*forms, word]
