"""What a predicted style is worth, at once and after some steps, beside nearest blend and peers.

    python benchmarks/prediction.py works ...       # the losses of training, per work and way
    python benchmarks/prediction.py judges ...      # two judges at 384 px, beside Magenta's network
    python benchmarks/prediction.py paintings ...   # held-out paintings against observed ones
    python benchmarks/prediction.py smooth ...      # from one prediction to another; seconds
    python benchmarks/prediction.py sheet ...       # the works on two sample photos

``DATA`` has ``photos/val``, ``styles-unseen``, ``paintings`` and ``vgg19``; ``PEERS`` is that of
``peers.py``. What has been measured is kept in ``--output`` and not measured again for the same
network, predictor and recipe of learning; ``table`` prints all of it.
"""

import argparse
import hashlib
import itertools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from judges import STYLE_SIZES, evenly, squeezenet_judge, vgg19_judge
from peer_networks import magenta_arbitrary
from PIL import Image
from timing import in_turns, machine, table
from torch import Tensor

from model.inference.device import autocast, choose_cpu_dtype, choose_training_precision
from model.inference.look import Look
from model.inference.stylizer import Stylizer
from model.network.weights import NETWORK_FILE, load_weights
from model.perception.encoder import find_encoder, load_encoder
from model.pictures.levels import to_image, to_tensor
from model.pictures.picture import encode_picture, load_picture
from model.pictures.style_picture import prepare_picture
from model.styles.library import StyleLibrary
from model.styles.predictor import PREDICTOR_FILE, load_predictor
from model.training.crops import find_photos, load_style_pictures, load_validation_batch
from model.training.evaluation import Judge
from model.training.finetune_recipe import FinetuneRecipe
from model.training.objective import Objective
from model.training.one_style import Finetuning
from model.training.painting_views import split_paintings
from model.training.vgg19 import load_vgg19

ROOT = Path(__file__).resolve().parent.parent
CPU = torch.device("cpu")
MEASURE = Objective()  # whatever rows were trained under
SIZE = 384  # px; Magenta's network takes no other
HELD_OUT = 150  # paintings
CELL = 176  # px of the sheet
MAGENTA = "Magenta arbitrary"
SHOWN = ("astronaut.jpg", "chelsea.jpg")
WAYS = {  # by name: from the prediction, steps
    "nearest blend": (False, 0),
    "predicted": (True, 0),
    "predicted, 25 steps": (True, 25),
    "nearest blend, 100 steps": (False, 100),
    "predicted, 10 steps": (True, 10),
    "predicted, 100 steps": (True, 100),
}


def origins(way: str) -> tuple[str, ...]:
    """What figures of a way depend on, as `Bench.identity` names it; no way, a prediction's."""
    if way == MAGENTA:
        return ()
    from_prediction, steps = WAYS.get(way, (True, 0))
    predictor = ("predictor",) if from_prediction else ()
    recipe = ("recipe",) if steps or not from_prediction else ()
    return ("network", "encoder", *predictor, *recipe)


def find_works(data: Path, held_out: int) -> dict[str, Path]:
    """Pictures by name: the works that nobody trained on, or so many of the held-out paintings."""
    if not held_out:
        unseen = load_style_pictures(data / "styles-unseen")
        return {str(entry["id"]): entry["path"] for entry in unseen}
    paintings = split_paintings(find_photos(data / "paintings"), HELD_OUT)[1]
    return {path.stem: path for path in evenly(paintings, held_out)}


class Bench:
    """The network, its predictor, the works, and what has been measured of them."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        folder = arguments.weights
        self.stylizer = Stylizer.load(folder, "cpu")
        network = self.stylizer.fingerprint
        self.predictor = load_predictor(folder, network, choose_cpu_dtype("auto"))
        self.rows = torch.stack([s.code for s in StyleLibrary(folder / "styles", network)])
        self.paths = find_works(arguments.data, arguments.held_out)
        self.works = {work: load_picture(path).rgb for work, path in self.paths.items()}
        (self.vgg_path,) = (arguments.data / "vgg19").glob("*.safetensors")
        digest = hashlib.sha256((folder / PREDICTOR_FILE).read_bytes()).hexdigest()[:16]
        encoder = self.predictor.encoder.fingerprint
        recipe = hashlib.sha256(repr(FinetuneRecipe().to_dict()).encode()).hexdigest()[:16]
        self.identity = {
            "network": network,
            "encoder": encoder,
            "predictor": digest,
            "recipe": recipe,
        }
        self.report: dict[str, Any] = dict(self.identity)
        if arguments.output.exists():
            self._take(json.loads(arguments.output.read_text()))

    def _take(self, kept: dict[str, Any]) -> None:
        """Of an earlier report, what is as it was."""
        for part, figures in kept.items():
            if part in self.identity:
                continue
            chosen = {
                key: value
                for key, value in figures.items()
                if all(kept.get(o) == self.identity[o] for o in origins((*key.split("/"), "")[1]))
            }
            if chosen:
                self.report[part] = chosen

    def photos(self, count: int, size: int) -> Tensor:
        """Centre squares of held-out photos, evenly chosen: (N, 3, size, size)."""
        paths = find_photos(self.arguments.data / "photos" / "val")
        return load_validation_batch(evenly(paths, count), size)

    def keep(self, part: str, key: str, figures: Any) -> None:
        """Store what was measured."""
        self.report.setdefault(part, {})[key] = figures
        self.arguments.output.write_text(json.dumps(self.report, indent=1) + "\n")
        print(part, key, figures, flush=True)

    def row(self, work: str, way: str) -> Tensor:
        """A work's row, by way; made once and kept beside the report."""
        from_prediction, steps = WAYS[way]
        if from_prediction and not steps:
            return self.predictor.predict(self.works[work])
        parts = [self.identity[part] for part in origins(way)]
        name = "-".join([*parts, work, way.replace(" ", "-")])
        path = self.arguments.rows / f"{name}.pt"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(self._learn(work, from_prediction, steps), path)
        found: Tensor = torch.load(path, weights_only=True)
        return found

    def _learn(self, work: str, from_prediction: bool, steps: int) -> Tensor:
        """A row after so many steps; after none, where a run without a row to start from begins."""
        start = self.row(work, "predicted") if from_prediction else None
        recipe = FinetuneRecipe(steps=steps) if steps else FinetuneRecipe()
        with tempfile.TemporaryDirectory() as folder:
            run = Finetuning(
                self.works[work],
                load_weights(self.arguments.weights / NETWORK_FILE),
                self.rows,
                load_encoder(find_encoder(self.arguments.weights)),
                recipe,
                Path(folder),
                start=start,
            )
            if steps:
                run.advance()
            return run.row


def run_works(bench: Bench) -> None:
    """Content and style loss of training, on held-out photos of 192 px."""
    judge = Judge(
        bench.photos(bench.arguments.photos, 192),
        bench.paths,
        load_vgg19(bench.vgg_path, MEASURE.layers),
        MEASURE,
        FinetuneRecipe.stroke_size,
    )
    for way in bench.arguments.way or WAYS:
        for work in bench.works:
            key = f"{work}/{way}/{len(judge.photos)}"
            if key not in bench.report.get("works", {}):
                figures = judge.figures(bench.stylizer, bench.row(work, way), work)
                bench.keep("works", key, [round(figures.content, 4), round(figures.style, 4)])


@torch.inference_mode()
def run_judges(bench: Bench) -> None:
    """Content and style under two judges, the painting at the size that suits each network."""
    judges = {
        "VGG-19": vgg19_judge(bench.vgg_path),
        "SqueezeNet": squeezenet_judge(bench.arguments.peers / "squeezenet-judge.npz"),
    }
    photos = bench.photos(bench.arguments.photos, SIZE)
    for work, picture in bench.works.items():
        targets = {name: judge.style_targets(picture) for name, judge in judges.items()}
        for way in bench.arguments.way or ("predicted", MAGENTA):
            key = f"{work}/{way}/{len(photos)}"
            if key in bench.report.get("judges", {}):
                continue
            stylize = stylizing(bench, work, way)
            found: dict[str, list[Tensor]] = {}
            for batch in photos.split(4):
                pastiches = stylize(batch)
                for name, judge in judges.items():
                    with autocast("cpu", choose_training_precision(CPU)):
                        seen, plain = judge.see(pastiches), judge.see(batch)
                    content = judge.content_losses(seen, plain)[:, None]
                    style = judge.style_losses(seen, targets[name])
                    found.setdefault(name, []).append(torch.cat([content, style], 1))
            figures = {}
            for name, parts in found.items():
                content, *styles = torch.cat(parts).mean(0).tolist()
                best = min(range(len(styles)), key=styles.__getitem__)
                figures[name] = [round(content, 4), round(styles[best], 4), STYLE_SIZES[best]]
            bench.keep("judges", key, figures)


def stylizing(bench: Bench, work: str, way: str) -> Callable[[Tensor], Tensor]:
    """A network in the style of a work."""
    if way not in WAYS:
        return magenta_arbitrary(bench.arguments.peers / "magenta-arbitrary", bench.works[work])
    look = Look(bench.row(work, way))
    return lambda photos: bench.stylizer.stylize_batch(photos, [look] * len(photos))


@torch.inference_mode()
def run_paintings(bench: Bench) -> None:
    """Style loss of predicted rows: of held-out paintings, and of as many observed ones."""
    observed, held_out = split_paintings(find_photos(bench.arguments.data / "paintings"), HELD_OUT)
    vgg = load_vgg19(bench.vgg_path, MEASURE.layers)
    photos = bench.photos(2, 192)
    kinds = {"held out": held_out, "observed": evenly(observed, len(held_out))}
    for kind, paths in kinds.items():
        losses = []
        for path in paths:
            picture = load_picture(path).rgb
            code = bench.predictor.predict(picture, min(picture.size))
            prepared = to_tensor(prepare_picture(picture, min(picture.size)))
            pastiches = bench.stylizer.stylize_batch(photos, [Look(code)] * len(photos))
            with autocast("cpu", choose_training_precision(CPU)):
                target = MEASURE.style_target(prepared, vgg)
                found = MEASURE.measure(photos, pastiches, target, vgg)
            losses.append(torch.stack(found).mean(1))
        content_loss, style_loss = torch.stack(losses).T
        figures = {
            "paintings": len(paths),
            "content": round(content_loss.mean().item(), 4),
            "style": round(style_loss.mean().item(), 4),
            "median style": round(style_loss.median().item(), 4),
        }
        bench.keep("paintings", kind, figures)


@torch.inference_mode()
def run_smooth(bench: Bench) -> None:
    """How evenly pictures change from one prediction to the next; how long a prediction takes."""
    photo = bench.photos(1, SIZE)
    works = list(bench.works)
    for first, second in zip(works, [*works[1:], works[0]], strict=True):
        ends = [bench.row(work, "predicted") for work in (first, second)]
        shares = torch.linspace(0, 1, 9)
        pictures = [
            bench.stylizer.stylize_batch(photo, [Look(torch.lerp(*ends, share))])
            for share in shares.tolist()
        ]
        moves = [255 * (b - a).abs().mean().item() for a, b in itertools.pairwise(pictures)]
        whole = 255 * (pictures[-1] - pictures[0]).abs().mean().item()
        figures = {"largest move": max(moves), "mean move": mean(moves), "whole": whole}
        bench.keep("smooth", f"{first} to {second}", {k: round(v, 2) for k, v in figures.items()})
    picture = next(iter(bench.works.values()))
    times = in_turns({"prediction": lambda: bench.predictor.predict(picture)}, 15)
    bench.keep("seconds", "prediction", round(times["prediction"], 4))
    bench.keep("seconds", "machine", machine(CPU))


def render_sheet(bench: Bench) -> None:
    """Two photos in every work, by way: ours at 512 px, Magenta's at 384."""
    ways = bench.arguments.way or ("predicted", MAGENTA)
    samples = [load_picture(ROOT / "static" / "samples" / name).resized(512).rgb for name in SHOWN]
    size = (CELL * len(samples) * len(ways), CELL * len(bench.works))
    sheet = Image.new("RGB", size, "white")
    for line, work in enumerate(bench.works):
        for column, (way, sample) in enumerate((w, s) for w in ways for s in samples):
            side = min(sample.size)
            left, top = (sample.width - side) // 2, (sample.height - side) // 2
            square = sample.crop((left, top, left + side, top + side))
            if way in WAYS:
                pastiche = bench.stylizer.stylize_image(square, Look(bench.row(work, way)))
            else:
                pictures = to_tensor(square.resize((SIZE, SIZE), Image.Resampling.LANCZOS))[None]
                pastiche = to_image(stylizing(bench, work, way)(pictures)[0])
            cell = pastiche.resize((CELL, CELL), Image.Resampling.LANCZOS)
            sheet.paste(cell, (column * CELL, line * CELL))
    bench.arguments.output.with_suffix(".webp").write_bytes(encode_picture(sheet, "webp", 72))


def print_tables(bench: Bench) -> None:
    """Everything that has been measured, as Markdown."""
    for part in ("works", "judges"):
        keys = [key.split("/") for key in bench.report.get(part, {})]
        for photos in sorted({key[2] for key in keys}):
            ways = list(dict.fromkeys(key[1] for key in keys if key[2] == photos))
            rows = []
            for work in bench.works:
                found = [bench.report[part].get(f"{work}/{way}/{photos}", "") for way in ways]
                rows.append([work, *map(str, found)])
            print(f"\n{part}, {photos} photos\n\n{table(['work', *ways], rows)}")
    print_comparison(bench)
    for part in ("paintings", "smooth", "seconds"):
        print(part, json.dumps(bench.report.get(part, {}), indent=1))


def print_comparison(bench: Bench) -> None:
    """Means under the judges, and in how many works which way has less loss than Magenta's."""
    found = {tuple(key.split("/")): f for key, f in bench.report.get("judges", {}).items()}
    for photos in sorted({photos for _, _, photos in found}):
        ways = dict.fromkeys(way for _, way, count in found if count == photos)
        for way, judge in itertools.product(ways, ("VGG-19", "SqueezeNet")):
            pairs = [
                (found[work, way, photos][judge][:2], found[work, MAGENTA, photos][judge][:2])
                for work in bench.works
                if {(work, way, photos), (work, MAGENTA, photos)} <= found.keys()
            ]
            if pairs:
                content, style = (mean(ours[i] for ours, _ in pairs) for i in range(2))
                less = [(a[0] <= b[0], a[1] < b[1]) for a, b in pairs]
                print(
                    f"{judge}, {photos} photos, {way}: {content:.3f} / {style:.4f} over "
                    f"{len(pairs)} works; beside Magenta's less style loss in "
                    f"{sum(style for _, style in less)}, at no more content loss in "
                    f"{sum(map(all, less))}"
                )


def main() -> None:
    """Run one part."""
    parts = {
        "works": run_works,
        "judges": run_judges,
        "paintings": run_paintings,
        "smooth": run_smooth,
        "sheet": render_sheet,
        "table": print_tables,
    }
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part", choices=parts, nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--weights", type=Path, default=ROOT / "weights")
    parser.add_argument("--photos", type=int, default=20, help="held-out photos to judge by")
    parser.add_argument(
        "--held-out", type=int, default=0, help="in place of the works so many held-out paintings"
    )
    parser.add_argument(
        "--way", action="append", default=[], help="these alone are judged or shown"
    )
    parser.add_argument("--rows", type=Path, default=ROOT / "runs" / "prediction")
    parser.add_argument(
        "--output", "-o", type=Path, default=ROOT / "docs" / "quality" / "prediction.json"
    )
    arguments = parser.parse_args()
    bench = Bench(arguments)
    for part in arguments.part:
        parts[part](bench)


if __name__ == "__main__":
    main()
