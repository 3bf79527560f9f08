"""What ImagiNet asked diffusion models for: its lists, sentences, suffixes and negative prompts.

Source: ImagiNet, arXiv 2407.20020 v3, Figures 1 and 5 and "Image Generation and Prompt Engineering".
Lists, suffixes and negative prompts are the paper's to the letter, its typos and its doubled words
("neutral expression expression") too. Two lists it names but does not print: SOMEWHERE and
EYE_COLORS are ours.
"""

PHOTO_SUFFIX = "8k photo, high quality, detailed photograph, detailed faces"
PHOTO_NEGATIVE = (
    "destroyed, analog, low quality, anime, Fuji, photo 2009, photo 2000, photo 1983, RAW photo, analog "
    "style, abstract, painting, drawing, video game, render, cartoon, 3d, sketch, photorealistic"
)

PAINTING_SUFFIX = "art, painting, professional art, detailed"
PAINTING_NEGATIVE = (
    "framed, cropped, bad, ugly, photo, dslr, noisy, high quaility photograph, professional prography, "
    "ugly, tiling, poorly drawn hands, poorly drawn feet, poorly drawn face, out of frame, extra limbs, "
    "disfigured, deformed, body out of frame, bad anatomy, watermark, signature, cut off, low contrast, "
    "underexposed, overexposed, bad art, beginner, amateur, distorted face, blurry, draft, grainy"
)
TECHNIQUES = ("oil", "watercolor", "acrylic", "digital art", "pen and ink")
STYLES = (
    *("impressionism", "abstract", "realism", "cubism", "surrealism", "pop art", "expressionism"),
    *("minimalism", "post-impressionism", "art deco", "fauvism", "romanticism", "baroque"),
    *("neoclassicism", "surreal abstraction", "hyperrealism", "symbolism", "pointillism", "suprematism"),
    *("constructivism", "japan art", "ukiyo-e", "kinetic art", "street art", "digital art", "naïve art"),
    *("primitivism", "abstract expressionism", "conceptual art", "futurism", "precisionism"),
    *("social realism", "magical realism", "cubo-futurism", "lyrical abstraction", "tenebrism"),
    *("synthetic cubism", "metaphysical art", "graffiti art", "videogame art"),
)
SUBJECTS = (
    *("landscape", "portrait", "still life", "cityscape", "abstract composition", "wildlife", "fantasy"),
    *("architecture", "seascape", "flowers", "people", "animals", "food", "music", "dance", "sports"),
    *("mythology", "history", "technology", "science", "nature", "celebrity", "space", "transportation"),
    *("underwater", "emotion", "dreams", "folklore", "literature"),
)

FACE_SUFFIX = PHOTO_SUFFIX
FACE_NEGATIVE = (
    "cropped, disfigured, ugly, bad, immature, b&w, frame, anime, analog style, abstract, painting, "
    "drawing, video game, render, cartoon, 3d, sketch, sculpture, blurred"
)
BABY = "baby"
AGES = (BABY, "young", "middle-aged", "elderly")
GENDERS = ("male", "female")
HAIR = ("straight", "wavy", "curly")
EYES = ("small", "large", "almond-shaped", "round")
MOUTHS = ("thin lips", "full lips", "wide mouth", "narrow mouth")
EXPRESSIONS = ("neutral expression", "smiling", "serious", "surprised", "angry")
SKINS = ("fair", "olive", "pale", "medium", "dark")
GLASSES = ("with glasses", "without glasses")
SOMEWHERE = (
    *("a living room", "a kitchen", "an office", "a classroom", "a library", "a café", "a shop"),
    *("a museum", "a train", "a car", "a garden", "a park", "a forest", "a street", "a city square"),
    *("a beach", "a field", "a mountain landscape", "a stadium", "a photo studio"),
)
"""Not published: our own."""
EYE_COLORS = ("brown", "blue", "green", "hazel", "gray", "amber")
"""Not published: our own."""


def painting(number: int) -> str:
    """The prompt of a painting; every number stands for one choice from all lists."""
    technique, style, subject = _chosen(number, TECHNIQUES, STYLES, SUBJECTS)
    return f"Create a {technique} painting in the style of {style} featuring {subject} {PAINTING_SUFFIX}"


def face(number: int) -> str:
    """The prompt of a face. A baby's names only gender and skin colour, as the paper's footnote says.

    In print no slot is marked: of "color eyes eyes" we take the first "eyes" to be one, followed by its
    noun as in "skin color skin". The noun in "straight hair" is ours, the paper's slot is "hair type".
    """
    age, gender, skin, *others = _chosen(
        number, AGES, GENDERS, SKINS, SOMEWHERE, HAIR, EYE_COLORS, EYES, MOUTHS, EXPRESSIONS, GLASSES
    )
    who = f"a professional photo portrait of {age} {gender}"
    if age == BABY:
        return f"{who} looking at the camera with {skin} skin {FACE_SUFFIX}"
    somewhere, hair, color, eyes, mouth, expression, glasses = others
    return (
        f"{who} centered inside {somewhere} looking at the camera with {hair} hair, {color} {eyes} eyes, "
        f"{mouth}, {skin} skin and {expression} expression and {glasses} {FACE_SUFFIX}"
    )


def _chosen(number: int, *lists: tuple[str, ...]) -> list[str]:
    """One entry of each list, as the digits of `number` say; evenly spread for a 63-bit hash."""
    words = []
    for entries in lists:
        number, place = divmod(number, len(entries))
        words.append(entries[place])
    return words
