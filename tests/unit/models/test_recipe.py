"""The file of a recipe: everything in it, defaults for what is not, and one line for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from models.training.recipe import InvalidRecipe, Recipe, Variant
from models.training.split import Months


def test_recipe_survives_its_file(tmp_path: Path) -> None:
    made = Recipe(
        (Variant("a", hidden_size=8, learning_rate=1e-5), Variant("b", least_side=0.25)),
        features="rsi(14),return(3)",
        lookback=60,
        interval="15m",
        spread="EURUSD=0.5pip",
        seeds=(4, 7),
        months=Months(6, 3, 9),
        tried=5,
        notes=('Said "so".',),
    )
    path = tmp_path / "recipe.toml"
    path.write_text(made.text())
    assert Recipe.read(path) == made


def test_what_a_file_omits_has_its_default(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('seeds = [9]\n[[variant]]\nname = "x"\nleast_side = 1\n')
    assert Recipe.read(path) == Recipe((Variant("x", least_side=1.0),), seeds=(9,))
    path.write_text("")
    assert Recipe.read(path) == Recipe()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("seeds = ", "is not TOML"),
        ("sedes = [1]", "'sedes' is no entry of the recipe; there are"),
        ("seeds = 1", "seeds of the recipe must be a list of whole numbers"),
        ("seeds = [1, 1]", "seeds must be a list of different whole numbers"),
        ("notes = [1]", "notes of the recipe must be a list of strings"),
        ("tried = 1.5", "tried of the recipe must be a whole number, not 1.5"),
        ("months = { test = 0 }", "each of months must be at least 1"),
        ("months = 3", "months must be a table"),
        ("variant = 3", r"write \[\[variant\]\]"),
        ("[[variant]]\nhidden_size = 8", "'name' is missing in a variant"),
        ('[[variant]]\nname = "a"\nhidden_size = 0', "hidden_size of the variant 'a' must be at least 1"),
        ('[[variant]]\nname = "a"\ngamma = true', "gamma of a variant must be a number, not True"),
        ('[[variant]]\nname = "a"\nentropy = -1', "entropy of the variant 'a' must be at least 0"),
        ('[[variant]]\nname = "a"\n[[variant]]\nname = "a"', "each with a name of its own"),
    ],
)
def test_malformed_recipe_is_refused_in_one_line(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(InvalidRecipe, match=reason) as refused:
        Recipe.read(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


def test_missing_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecipe, match="cannot be read"):
        Recipe.read(tmp_path / "none.toml")
