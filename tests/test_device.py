"""Where to compute and in what."""

import pytest
import torch

from model.inference.device import (
    choose_dtype,
    choose_training_precision,
    multiplies_in_bfloat16,
)

CPU, GPU = torch.device("cpu"), torch.device("cuda", 1)


@pytest.mark.parametrize(
    ("capability", "multiplies"), [((7, 0), False), ((7, 5), False), ((8, 0), True), ((9, 0), True)]
)
def test_emulated_bfloat16_is_none(
    capability: tuple[int, int], multiplies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def answer(device: torch.device) -> tuple[int, int]:
        asked.append(device)
        return capability

    monkeypatch.setattr(torch.cuda, "get_device_capability", answer)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_, **__: True)  # by emulation
    assert multiplies_in_bfloat16(GPU) is multiplies
    assert choose_training_precision(GPU) == ("bfloat16" if multiplies else "float32")
    assert set(asked) == {GPU}, "not the current one"


@pytest.mark.parametrize("has", [{"avx512_bf16": True}, {"amx_bf16": True}, {"avx2": True}, {}])
def test_inference_and_training_agree_on_what_a_processor_can(
    has: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert str(choose_dtype("auto", CPU)) == f"torch.{choose_training_precision(CPU)}"
