"""Losses equal their formulas; the reported loss has no smoothing and weights."""

import numpy as np
import pytest
import torch
from torch import nn

from stages.training.loss_params import CrossEntropy, SupCon, Triplet
from stages.training.losses import ClassificationLoss, MetricLoss, probabilities

NAMES = ["cross_entropy", "binary_cross_entropy"]
COUNTS = torch.tensor([5, 20, 1, 14])
LOGITS = 4 * torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
LABEL = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3, 3])
HARD = nn.functional.one_hot(LABEL, 4).float()
MIXED = 0.7 * HARD + 0.3 * HARD.roll(1, dims=0)


def made(
    name: str, smoothing: float = 0.0, weights: str = "none", counts: torch.Tensor = COUNTS
) -> ClassificationLoss:
    params = CrossEntropy(name=name, label_smoothing=smoothing, class_weights=weights)
    return ClassificationLoss(params, counts, torch.device("cpu"))


def by_hand(name: str, logits: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the loss of each segment, computed in float64."""
    if name == "cross_entropy":
        log_sum = np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return -(target * (logits - log_sum)).sum(axis=1)
    right = 1 / (1 + np.exp(-logits))
    return -(target * np.log(right) + (1 - target) * np.log(1 - right)).mean(axis=1)


@pytest.mark.parametrize("target", [HARD, MIXED], ids=["hard", "mixed"])
@pytest.mark.parametrize("name", NAMES)
def test_loss_equals_its_formula(name, target):
    wanted = by_hand(name, LOGITS.double().numpy(), target.double().numpy())
    np.testing.assert_allclose(made(name)(LOGITS, target), wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(made(name).plain(LOGITS, target), wanted, rtol=1e-5, atol=1e-6)


def test_cross_entropy_equals_that_of_torch():
    wanted = nn.functional.cross_entropy(LOGITS, LABEL, reduction="none")
    torch.testing.assert_close(made("cross_entropy")(LOGITS, HARD), wanted)
    smoothed = nn.functional.cross_entropy(LOGITS, LABEL, reduction="none", label_smoothing=0.1)
    torch.testing.assert_close(made("cross_entropy", 0.1)(LOGITS, HARD), smoothed)


def test_binary_cross_entropy_equals_that_of_torch():
    wanted = nn.BCEWithLogitsLoss(reduction="none")(LOGITS, HARD).mean(dim=1)
    torch.testing.assert_close(made("binary_cross_entropy")(LOGITS, HARD), wanted)


@pytest.mark.parametrize("target", [HARD, MIXED], ids=["hard", "mixed"])
@pytest.mark.parametrize("name", NAMES)
def test_smoothing_spreads_a_share_of_the_target_over_all_classes(name, target):
    smoothed = 0.8 * target.double().numpy() + 0.2 / 4
    wanted = by_hand(name, LOGITS.double().numpy(), smoothed)
    np.testing.assert_allclose(made(name, 0.2)(LOGITS, target), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_balanced_weights_give_every_class_the_same_total(name):
    loss = made(name, weights="balanced")
    weight = 40 / (4 * np.array([5, 20, 1, 14]))
    np.testing.assert_allclose(loss.weight, weight, rtol=1e-6)
    each = by_hand(name, LOGITS.double().numpy(), HARD.double().numpy())
    np.testing.assert_allclose(loss(LOGITS, HARD), weight[LABEL] * each, rtol=1e-5)
    assert (weight * COUNTS.numpy()).tolist() == pytest.approx([10.0] * 4)


@pytest.mark.parametrize("name", NAMES)
def test_weights_of_balanced_classes_are_one(name):
    loss = made(name, weights="balanced", counts=torch.tensor([6, 6, 6, 6]))
    torch.testing.assert_close(loss(LOGITS, HARD), made(name)(LOGITS, HARD))


@pytest.mark.parametrize("name", NAMES)
def test_mixed_segment_has_the_mean_weight_of_its_classes(name):
    weight = 40 / (4 * np.array([5, 20, 1, 14]))
    each = by_hand(name, LOGITS.double().numpy(), MIXED.double().numpy())
    wanted = (MIXED.numpy() @ weight) * each
    np.testing.assert_allclose(made(name, weights="balanced")(LOGITS, MIXED), wanted, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_class_without_segments_gives_finite_losses(name):
    loss = made(name, weights="balanced", counts=torch.tensor([10, 0, 20, 10]))
    target = nn.functional.one_hot(torch.tensor([0, 2, 3]), 4).float()
    assert torch.isfinite(loss(LOGITS[:3], target)).all()
    np.testing.assert_allclose(loss.weight[[0, 2, 3]], [1.0, 0.5, 1.0])


@pytest.mark.parametrize("name", NAMES)
def test_plain_loss_has_no_smoothing_and_weights(name):
    loss = made(name, 0.3, "balanced")
    torch.testing.assert_close(loss.plain(LOGITS, HARD), made(name)(LOGITS, HARD))
    assert not torch.allclose(loss.plain(LOGITS, HARD), loss(LOGITS, HARD))


@pytest.mark.parametrize("name", NAMES)
def test_extreme_logits_give_finite_losses_and_gradients(name):
    logits = torch.tensor([[200.0, -200.0, 0.0, 90.0]], requires_grad=True)
    loss = made(name, 0.1, "balanced")(logits, HARD[1:2]).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


class TestProbabilities:
    """Class probabilities from outputs."""

    @pytest.mark.parametrize("name", NAMES)
    def test_probabilities_sum_to_one_and_keep_the_order(self, name):
        found = probabilities(LOGITS.double(), name)
        torch.testing.assert_close(found.sum(dim=1), torch.ones(9, dtype=torch.float64))
        assert ((found >= 0) & (found <= 1)).all()
        assert torch.equal(found.argsort(dim=1), LOGITS.argsort(dim=1))

    def test_probabilities_equal_the_formulas(self):
        logits = LOGITS.double().numpy()
        power = np.exp(logits)
        wanted = power / power.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(probabilities(LOGITS.double(), "cross_entropy"), wanted)
        each = 1 / (1 + np.exp(-logits))
        wanted = each / each.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(probabilities(LOGITS.double(), "binary_cross_entropy"), wanted)

    def test_minimum_of_cross_entropy_is_the_class_distribution(self):
        """Over equal segments the best probabilities are the frequencies of the classes."""
        target = nn.functional.one_hot(torch.tensor([0] * 6 + [1] * 3 + [2]), 4).float()
        logits = torch.zeros(1, 4, requires_grad=True)
        optimizer = torch.optim.Adam([logits], lr=0.1)
        for _ in range(400):
            optimizer.zero_grad()
            made("cross_entropy")(logits.expand(10, 4), target).mean().backward()
            optimizer.step()
        found = probabilities(logits.detach(), "cross_entropy")[0]
        np.testing.assert_allclose(found, [0.6, 0.3, 0.1, 0.0], atol=0.01)


def test_tiny_sigmoids_give_valid_probabilities():
    found = probabilities(
        torch.tensor([[-800.0, -801.0, -900.0]], dtype=torch.float64), "binary_cross_entropy"
    )
    np.testing.assert_allclose(found, [[1 / (1 + np.exp(-1)), 1 / (1 + np.e), 0]], atol=1e-12)


EMBEDDING = torch.randn(9, 5, generator=torch.Generator().manual_seed(2))
UNIT = nn.functional.normalize(EMBEDDING).double().numpy()


def triplet(mining: str = "all", margin: float = 0.3) -> MetricLoss:
    return MetricLoss(Triplet(name="triplet", embedding_size=5, margin=margin, mining=mining), 4)


def supcon(temperature: float = 0.2) -> MetricLoss:
    return MetricLoss(SupCon(name="supcon", embedding_size=5, temperature=temperature), 4)


class TestMetricLoss:
    """Losses of embeddings."""

    @pytest.mark.parametrize("mining", ["all", "semihard", "hard"])
    def test_triplet_is_the_mean_over_mined_triplets(self, mining):
        distance = np.linalg.norm(UNIT[:, None] - UNIT, axis=2)
        label, losses = LABEL.numpy(), []
        for a in range(9):
            for p in range(9):
                for n in range(9):
                    if a != p and label[a] == label[p] and label[a] != label[n]:
                        lead = distance[a, n] - distance[a, p]
                        counts = {"all": lead <= 0.3, "semihard": 0 < lead <= 0.3, "hard": lead <= 0}[mining]
                        losses += [0.3 - lead] * int(counts)
        given = triplet(mining)(7 * EMBEDDING, HARD)  # their lengths do not matter
        assert given.shape == (9,)
        np.testing.assert_allclose(given, np.mean(losses), rtol=1e-5)

    def test_supcon_equals_its_formula(self):
        cosine, label = UNIT @ UNIT.T / 0.2, LABEL.numpy()
        each = []
        for i in range(9):
            others = [j for j in range(9) if j != i]
            same = [j for j in others if label[j] == label[i]]
            log_sum = np.log(np.exp(cosine[i, others]).sum())
            each.append(-np.mean([cosine[i, j] - log_sum for j in same]))
        np.testing.assert_allclose(supcon()(7 * EMBEDDING, HARD), np.mean(each), rtol=1e-5)

    def test_plain_loss_compares_with_prototypes(self):
        prototypes = nn.functional.normalize(
            torch.randn(4, 5, generator=torch.Generator().manual_seed(3))
        ).double()
        squared = torch.cdist(torch.from_numpy(UNIT), prototypes) ** 2
        for i, label in enumerate(LABEL.tolist()):
            distance = squared[i].sqrt()
            others = [k for k in range(4) if k != label]
            violations = [max(0.0, (distance[label] - distance[k] + 0.3).item()) for k in others]
            assert triplet().plain(-squared, HARD)[i].item() == pytest.approx(np.mean(violations), abs=1e-6)
            cosine = torch.from_numpy(UNIT[i]) @ prototypes.T / 0.2
            wanted = nn.functional.cross_entropy(cosine, LABEL[i]).item()
            assert supcon().plain(-squared, HARD)[i].item() == pytest.approx(wanted, abs=1e-6)

    @pytest.mark.parametrize("loss", [triplet(), supcon()], ids=["triplet", "supcon"])
    def test_batch_without_positive_pairs_has_no_gradient(self, loss):
        embedding = EMBEDDING[:4].clone().requires_grad_()
        loss(embedding, HARD[:4]).sum().backward()
        assert torch.equal(embedding.grad, torch.zeros_like(embedding))
