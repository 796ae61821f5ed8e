"""Classification by the nearest prototype."""

import pytest
import torch
from torch import nn

from models import MLP
from models.nearest_prototype import NearestPrototype


@pytest.fixture
def model() -> NearestPrototype:
    torch.manual_seed(0)
    network = MLP(input_shape=(4, 5), n_classes=6, hidden=[8], dropout=0.0, l2=0.01)
    return NearestPrototype(network, n_classes=3, embedding_size=6).eval()


X = torch.randn(12, 4, 5, generator=torch.Generator().manual_seed(1))
LABEL = torch.arange(12) % 3


def test_embeddings_have_length_one(model):
    embedding = model.embed(X)
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(12))
    with torch.no_grad():
        for parameter in list(model.network.parameters())[-2:]:
            parameter *= 50
    torch.testing.assert_close(model.embed(X), embedding)


def test_prototypes_are_normalised_class_means(model):
    embedding = model.embed(X).detach()
    model.place(embedding, LABEL)
    for number in range(3):
        mean = embedding[number == LABEL].mean(0)
        torch.testing.assert_close(model.prototypes[number], mean / mean.norm())


def test_logits_are_minus_squared_distances_divided_by_temperature(model):
    embedding = model.embed(X).detach()
    model.place(embedding, LABEL)
    wanted = -(torch.cdist(embedding, model.prototypes) ** 2)
    torch.testing.assert_close(model(X), wanted, atol=1e-5, rtol=1e-5)
    model.temperature.fill_(0.25)
    torch.testing.assert_close(model(X), 4 * wanted, atol=1e-5, rtol=1e-5)


def test_class_without_segments_has_the_greatest_distance(model):
    embedding = model.embed(X).detach()
    model.place(embedding, LABEL.clamp(max=1))
    own = model.squared_distance(embedding)[torch.arange(12), LABEL.clamp(max=1)]
    assert torch.equal(model.squared_distance(embedding)[:, 2], torch.full((12,), 4.0))
    assert (own < 4).all()


def test_distances_stay_exact_in_mixed_precision(model):
    embedding = model.embed(X).detach()
    model.place(embedding, LABEL)
    exact = model.squared_distance(embedding)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(model.squared_distance(embedding), exact)


def test_state_has_the_weights_and_the_prototypes(model):
    assert model.parameter_groups() == model.network.parameter_groups()
    assert {"prototypes", "temperature"} < model.state_dict().keys()
    assert not [name for name, _ in model.named_parameters() if not name.startswith("network.")]
    assert isinstance(model.network, nn.Module)
