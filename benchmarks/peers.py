"""Our network beside other people's, on photos that nobody trained on, by what one sees.

    python benchmarks/peers.py --data DATA --peers PEERS                    # all 100 photos
    python benchmarks/peers.py --data DATA --peers PEERS --photos 20 --weights runs/x/weights

``DATA`` has ``photos/val``, ``styles`` and ``vgg19``; ``PEERS`` the peers' weights and
``squeezenet-judge.npz``. Photos are centre squares of 384 px. Losses are taken under VGG-19 and
under SqueezeNet; a painting is measured at five sizes, and each network is judged by the one that
suits it best. The peers' figures and the paintings' are kept in ``--cache``, so that another set of
weights takes little time. Magenta's network needs ``ai-edge-litert``.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

import torch
from judges import STYLE_SIZES, Judge, evenly, squeezenet_judge, vgg19_judge
from peer_networks import (
    MOBILE_ROWS,
    Stylize,
    fast_neural_style,
    fast_style_transfer,
    magenta_arbitrary,
    mobile_network,
)
from timing import machine, table
from torch import Tensor

from model.inference.device import autocast, choose_training_precision
from model.inference.look import Look
from model.inference.stylizer import Stylizer
from model.perception.moments import Moments
from model.pictures.levels import to_tensor
from model.pictures.picture import load_picture
from model.pictures.style_picture import resize_short_side
from model.styles.library import StyleLibrary
from model.training.appearance import (
    NIGHTS,
    STRUCTURE_LAYER,
    Appearance,
    band_share,
    gradient_spread,
    grain_gain,
    structure_distance,
)
from model.training.crops import find_photos, load_validation_batch

ROOT = Path(__file__).resolve().parent.parent
STYLES = ("udnie", "great-wave", "the-scream", "starry-night", "profumo", "floral-textile")
SIZE = 384  # px; Magenta's network takes no other
BATCH = 4
PROBES = 6  # photos around the squares and skies of grain and gradients
DEFINITION = 2  # of the figures; older caches are measured again
# With whom ours is compared, by style: the network of that style alone where there is one, else
# Magenta's.
BEST = {
    "udnie": "fast_neural_style",
    "great-wave": "lengstrom",
    "the-scream": "lengstrom",
    "starry-night": "Magenta arbitrary",
    "profumo": "Magenta arbitrary",
    "floral-textile": "Magenta arbitrary",
}
JUDGES = ("VGG-19", "SqueezeNet")
APPEARANCE = ("grain gain", "weave", "gradients", "nights", "CFSD")


@dataclass(frozen=True)
class Figures:
    """One network in one style: means over the photos."""

    content: dict[str, float]
    """By judge."""
    style: dict[str, float]
    """By judge, at the size of the painting that suits the network best."""
    style_size: dict[str, int]
    """By judge: that size, the painting's shorter side in px."""
    appearance: Appearance

    @classmethod
    def from_dict(cls, values: dict) -> "Figures":
        """Back from JSON."""
        return cls(**{**values, "appearance": Appearance(**values["appearance"])})


class Bench:
    """Photos, paintings and judges; whatever is measured of them alone is measured once."""

    def __init__(self, data: Path, peers: Path, photos: int, cache: Path) -> None:
        self.peers = peers
        paths = find_photos(data / "photos" / "val")
        self.photos = load_validation_batch(evenly(paths, photos), SIZE)
        self.probes = load_validation_batch(evenly(paths, PROBES), SIZE)
        self.paintings = {id_: load_picture(data / "styles" / f"{id_}.jpg").rgb for id_ in STYLES}
        (vgg,) = (data / "vgg19").glob("*.safetensors")
        self.judges = {
            "VGG-19": vgg19_judge(vgg),
            "SqueezeNet": squeezenet_judge(peers / "squeezenet-judge.npz"),
        }
        cache.mkdir(parents=True, exist_ok=True)
        self.targets = self._load_targets(cache / f"paintings-{DEFINITION}.pt")

    def _load_targets(self, path: Path) -> dict[str, dict[str, dict[int, list[Moments]]]]:
        """Gram matrices of the paintings: by style, judge and size."""
        if path.exists():
            plain = torch.load(path, weights_only=True)
        else:
            with torch.inference_mode():
                plain = {
                    id_: {
                        name: {
                            size: [tuple(m) for m in moments]
                            for size, moments in judge.style_targets(self.paintings[id_]).items()
                        }
                        for name, judge in self.judges.items()
                    }
                    for id_ in STYLES
                }
            torch.save(plain, path)
        return {
            id_: {
                name: {size: [Moments(*m) for m in moments] for size, moments in sizes.items()}
                for name, sizes in judged.items()
            }
            for id_, judged in plain.items()
        }

    def see(self, judge: Judge, pictures: Tensor) -> Mapping[str, Tensor]:
        """Activations, in bfloat16 where that is faster."""
        with autocast("cpu", choose_training_precision(torch.device("cpu"))):
            return judge.see(pictures)

    @torch.inference_mode()
    def measure(self, networks: Mapping[tuple[str, str], Stylize]) -> dict[str, Figures]:
        """Figures of networks by (name, style), to figures by "name/style"."""
        rows: dict[tuple[str, str], list[dict[str, Tensor]]] = {key: [] for key in networks}
        for photos in self.photos.split(BATCH):
            seen_photos = {name: self.see(judge, photos) for name, judge in self.judges.items()}
            for key, network in networks.items():
                pastiches = network(photos)
                row = {"share": band_share(pastiches)}
                for name, judge in self.judges.items():
                    seen = self.see(judge, pastiches)
                    row[f"content {name}"] = judge.content_losses(seen, seen_photos[name])
                    row[f"style {name}"] = judge.style_losses(seen, self.targets[key[1]][name])
                    if name == "VGG-19":
                        row["structure"] = structure_distance(
                            seen[STRUCTURE_LAYER], seen_photos[name][STRUCTURE_LAYER]
                        )
                rows[key].append(row)
        return {
            "/".join(key): self._summarize(network, key[1], rows[key])
            for key, network in networks.items()
        }

    def _summarize(self, network: Stylize, id_: str, rows: list[dict[str, Tensor]]) -> Figures:
        means = {name: torch.cat([row[name] for row in rows]).mean(0) for name in rows[0]}
        gradients = gradient_spread(network, self.probes)
        painting = to_tensor(resize_short_side(self.paintings[id_], SIZE))
        best = {name: int(means[f"style {name}"].argmin()) for name in JUDGES}
        return Figures(
            content={name: means[f"content {name}"].item() for name in JUDGES},
            style={name: means[f"style {name}"][best[name]].item() for name in JUDGES},
            style_size={name: STYLE_SIZES[best[name]] for name in JUDGES},
            appearance=Appearance(
                grain=grain_gain(network, self.probes),
                gradient=gradients.mean().item(),
                night=gradients[:NIGHTS].mean().item(),
                weave=(means["share"] / band_share(painting[None])[0]).item(),
                structure=means["structure"].item(),
            ),
        )


def peer_networks(bench: Bench) -> dict[tuple[str, str], Callable[[], Stylize]]:
    """Every peer that has one of the styles, by (name, style)."""
    folder = bench.peers
    found: dict[tuple[str, str], Callable[[], Stylize]] = {
        ("fast_neural_style", "udnie"): lambda: fast_neural_style(
            folder / "fast-neural-style-udnie.safetensors"
        ),
        ("lengstrom", "great-wave"): lambda: fast_style_transfer(
            folder / "lengstrom-wave.safetensors"
        ),
        ("lengstrom", "the-scream"): lambda: fast_style_transfer(
            folder / "lengstrom-scream.safetensors"
        ),
    }
    for id_, row in MOBILE_ROWS.items():
        found["26 styles, mobile", id_] = lambda row=row: mobile_network(
            folder / "dumoulin-26-styles.safetensors", row
        )
    for id_, painting in bench.paintings.items():
        found["Magenta arbitrary", id_] = lambda painting=painting: magenta_arbitrary(
            folder / "magenta-arbitrary", painting
        )
    return found


def measure_peers(bench: Bench, cache: Path) -> dict[str, Figures]:
    """The peers' figures, from the cache where it has them."""
    path = cache / f"peers-{DEFINITION}-{len(bench.photos)}.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    for key, load in peer_networks(bench).items():
        if "/".join(key) not in kept:
            begun = time.perf_counter()
            (figures,) = bench.measure({key: load()}).values()
            print(f"{'/'.join(key)}: {time.perf_counter() - begun:.0f} s", flush=True)
            kept["/".join(key)] = asdict(figures)
            path.write_text(json.dumps(kept, indent=1) + "\n")
    return {name: Figures.from_dict(values) for name, values in kept.items()}


def own_networks(folder: Path) -> dict[tuple[str, str], Stylize]:
    """Ours in the six styles, in float32."""
    stylizer = Stylizer.load(folder, "cpu")
    library = StyleLibrary(folder / "styles", stylizer.fingerprint)

    def run(id_: str) -> Stylize:
        look = Look(library[id_].code)
        return lambda photos: stylizer.stylize_batch(photos, [look] * len(photos))

    return {("ours", id_): run(id_) for id_ in STYLES if id_ in library}


def to_markdown(peers: Mapping[str, Figures], ours: Mapping[str, Figures], photos: int) -> str:
    """Losses beside the best peers', then what one sees of every network."""
    best = {id_: f"{name}/{id_}" for id_, name in BEST.items()}
    styles = [id_ for id_ in STYLES if f"ours/{id_}" in ours]
    header = ["style", "peer"]
    header += [f"{judge} {whose}" for judge in JUDGES for whose in ("peer", "ours", "style ratio")]
    rows = []
    for id_ in styles:
        row = [id_, best[id_].partition("/")[0]]
        for judge in JUDGES:
            peer, own = peers[best[id_]], ours[f"ours/{id_}"]
            row += [f"{f.content[judge]:.2f} / {f.style[judge]:.3f}" for f in (peer, own)]
            row.append(f"{own.style[judge] / peer.style[judge]:.2f}")
        rows.append(row)
    row = ["**mean**", ""]
    for judge in JUDGES:
        both = [[peers[best[id_]] for id_ in styles], [ours[f"ours/{id_}"] for id_ in styles]]
        content = [mean(f.content[judge] for f in figures) for figures in both]
        style = [mean(f.style[judge] for f in figures) for figures in both]
        row += [f"{c:.2f} / {s:.3f}" for c, s in zip(content, style, strict=True)]
        row.append(f"**{style[1] / style[0]:.2f}**")
    rows.append(row)
    seen = []
    for name, f in [*ours.items(), *sorted(peers.items(), key=lambda item: item[0].split("/")[1])]:
        network, _, id_ = name.partition("/")
        a = f.appearance
        cells = [f"{f.content[judge]:.2f} / {f.style[judge]:.3f}" for judge in JUDGES]
        sizes = " / ".join(str(f.style_size[judge]) for judge in JUDGES)
        values = [f"{v:.2f}" for v in (a.grain, a.weave)]
        values += [f"{v:.1f}" for v in (a.gradient, a.night)] + [f"{a.structure:.3f}"]
        seen.append([id_, network, *cells, sizes, *values])
    grains = [f.appearance.grain for f in ours.values()]
    return "\n".join(
        [
            f"{photos} held-out photos of {SIZE} px, content / style. "
            + machine(torch.device("cpu")),
            "",
            table(header, rows),
            "",
            table(
                ["style", "network", *JUDGES, "painting at, px", *APPEARANCE],
                seen,
            ),
            "",
            f"Our grain gain: mean {mean(grains):.2f}, highest {max(grains):.2f}.",
            "",
        ]
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="photos, styles, vgg19")
    parser.add_argument("--peers", type=Path, required=True, help="the peers' weights")
    parser.add_argument("--weights", type=Path, default=ROOT / "weights", help="ours")
    parser.add_argument("--photos", type=int, default=100, help="so many, evenly chosen")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "peers")
    parser.add_argument("--output", "-o", type=Path, help="Markdown; a .json goes beside it")
    arguments = parser.parse_args()
    bench = Bench(arguments.data, arguments.peers, arguments.photos, arguments.cache)
    peers = measure_peers(bench, arguments.cache)
    ours = bench.measure(own_networks(arguments.weights))
    text = to_markdown(peers, ours, len(bench.photos))
    print(text)
    if arguments.output:
        arguments.output.write_text(text)
        everything = {name: asdict(f) for name, f in {**ours, **peers}.items()}
        figures = json.dumps(everything, indent=1) + "\n"
        arguments.output.with_suffix(".json").write_text(figures)


if __name__ == "__main__":
    main()
