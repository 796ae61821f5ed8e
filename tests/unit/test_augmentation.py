"""Each augmentation changes what it should, differently for each segment, and nothing else."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stages.core.errors import EncoreError
from stages.training.augment_params import SpecAugment
from stages.training.augmentation import Augmentation, gain, mixup, shift, specaugment, time_resized_crop
from stages.training.recipe import check_augmentation
from tests.synthetic import recipe

N_BINS, N_FRAMES, N_CLASSES = 13, 40, 3
STD = [1.0 + 0.5 * i for i in range(N_BINS)]
ALONE = {
    "specaugment": {"freq_masks": 2, "max_bins": 0.3, "time_masks": 2, "max_frames": 0.3},
    "mixup": 0.4,
    "noise": 0.2,
    "gain_db": 6.0,
    "shift": 0.5,
    "time_resized_crop": 0.6,
}
EACH = [{name: value} for name, value in ALONE.items()]
NAMES = list(ALONE)


def segments(n: int, *channels: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(n, *channels, N_BINS, N_FRAMES, generator=random)


def targets(n: int) -> Tensor:
    return nn.functional.one_hot(torch.arange(n) % N_CLASSES, N_CLASSES).float()


def augmented(how: dict, x: Tensor, target: Tensor | None = None, seed: int = 0) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    augmentation = Augmentation(recipe(augment=how).augment, torch.tensor(STD))
    return augmentation(x, targets(len(x)) if target is None else target)


def test_without_augmentation_nothing_changes():
    x, target = segments(4), targets(4)
    found, same = augmented({}, x, target)
    assert torch.equal(found, x)
    assert torch.equal(same, target)


@pytest.mark.parametrize("channels", [(), (2,)], ids=["none", "two"])
@pytest.mark.parametrize("how", [*EACH, ALONE], ids=[*NAMES, "all"])
class TestEach:
    """Properties of all augmentations."""

    def test_shape_and_dtype_stay_and_the_input_is_not_changed(self, how, channels):
        x, target = segments(9, *channels), targets(9)
        before = x.clone(), target.clone()
        found, shares = augmented(how, x, target)
        assert (found.shape, found.dtype) == (x.shape, torch.float32)
        assert (shares.shape, shares.dtype) == (target.shape, torch.float32)
        assert torch.isfinite(found).all()
        assert not torch.equal(found, x)
        assert torch.equal(x, before[0])
        assert torch.equal(target, before[1])

    def test_result_follows_from_the_seed(self, how, channels):
        x = segments(9, *channels)
        first, again, other = (augmented(how, x, seed=seed) for seed in (1, 1, 2))
        assert torch.equal(first[0], again[0])
        assert torch.equal(first[1], again[1])
        assert not torch.equal(first[0], other[0])

    def test_each_segment_is_changed_differently(self, how, channels):
        x = segments(1, *channels).expand(8, *channels, N_BINS, N_FRAMES)
        if "mixup" in how:  # mixing what is alike changes nothing
            x = segments(8, *channels)
        found, _ = augmented(how, x)
        changes = found - x
        assert len({change.numpy().tobytes() for change in changes}) >= 7

    def test_batch_of_one_works(self, how, channels):
        found, shares = augmented(how, segments(1, *channels))
        assert found.shape == (1, *channels, N_BINS, N_FRAMES)
        assert shares.sum().item() == pytest.approx(1.0)


@pytest.mark.parametrize("how", [how for how in EACH if "noise" not in how])
def test_channels_of_a_segment_are_changed_alike(how):
    found, _ = augmented(how, segments(6).unsqueeze(1).expand(6, 3, N_BINS, N_FRAMES))
    assert torch.equal(found, found[:, :1].expand_as(found))


@pytest.mark.parametrize("how", EACH, ids=NAMES)
def test_only_mixup_changes_the_target(how):
    _, shares = augmented(how, segments(9))
    assert torch.equal(shares, targets(9)) == ("mixup" not in how)


class TestShift:
    """A rotation in time."""

    def by(self, x: Tensor, found: Tensor) -> int:
        """How far a segment was rotated, forth or back."""
        right = [n for n in range(-N_FRAMES, N_FRAMES) if torch.equal(x.roll(n, -1), found)]
        return min(right, key=abs)

    @pytest.mark.parametrize("most", [0.1, 0.5])
    def test_shift_rotates_up_to_the_share_in_both_directions(self, most):
        torch.manual_seed(0)
        x = segments(300)
        by = [self.by(a, b) for a, b in zip(x, shift(x, most), strict=True)]
        assert max(abs(n) for n in by) <= most * N_FRAMES
        assert len(set(by)) > most * N_FRAMES
        assert min(by) < -0.8 * most * N_FRAMES
        assert max(by) > 0.8 * most * N_FRAMES
        assert abs(np.mean(by)) < 0.15 * most * N_FRAMES

    def test_shift_keeps_codes(self):
        x = torch.randint(0, 256, (5, N_BINS, N_FRAMES), dtype=torch.uint8)
        found, _ = augmented({"shift": 1.0}, x)
        assert found.dtype == torch.uint8
        for a, b in zip(x, found, strict=True):
            self.by(a, b)


class TestTimeResizedCrop:
    """A part of the segment, interpolated to its full length."""

    def ramps(self, n: int) -> Tensor:
        return torch.arange(N_FRAMES, dtype=torch.float32).expand(n, N_BINS, N_FRAMES)

    @pytest.mark.parametrize("least", [0.01, 0.5, 0.9])
    def test_ramp_becomes_a_flatter_ramp(self, least):
        torch.manual_seed(0)
        found = time_resized_crop(self.ramps(400), least)[:, 0]
        assert found.min() >= 0
        assert found.max() <= N_FRAMES - 1
        slope = found.diff(dim=1)
        torch.testing.assert_close(slope, slope[:, :1].expand_as(slope), atol=1e-4, rtol=0)
        length = slope[:, 0] * (N_FRAMES - 1) + 1
        assert length.min() >= max(2, least * N_FRAMES) - 1e-3
        assert length.max() <= N_FRAMES + 1e-3
        assert length.min() < (least + 0.1) * N_FRAMES
        assert length.max() > 0.95 * N_FRAMES

    def test_crop_can_start_and_end_anywhere(self):
        torch.manual_seed(0)
        found = time_resized_crop(self.ramps(400), 0.5)[:, 0]
        assert found[:, 0].min() < 1
        assert found[:, -1].max() > N_FRAMES - 2
        assert found[:, 0].max() > 0.4 * N_FRAMES
        # the middle of the part is equally often early and late
        assert found.mean().item() == pytest.approx((N_FRAMES - 1) / 2, abs=1)

    def test_values_between_frames_are_interpolated(self):
        x = segments(50)
        torch.manual_seed(5)
        found = time_resized_crop(x, 0.3)
        torch.manual_seed(5)  # the same parts of a ramp give their places
        place = time_resized_crop(self.ramps(50), 0.3)[:, 0].double().numpy()
        for segment, cropped, where in zip(x.numpy(), found.numpy(), place, strict=True):
            for row, wanted in zip(cropped, segment, strict=True):
                np.testing.assert_allclose(row, np.interp(where, range(N_FRAMES), wanted), atol=1e-4)

    @pytest.mark.parametrize("n_frames", [2, 3])
    def test_crop_works_with_few_frames(self, n_frames):
        x = torch.randn(20, 4, n_frames)
        assert time_resized_crop(x, 0.1).shape == x.shape
        if n_frames == 2:
            torch.testing.assert_close(time_resized_crop(x, 0.1), x)


class TestGain:
    """A change of level: a constant in dB."""

    def test_gain_is_one_number_of_db_per_segment(self):
        torch.manual_seed(0)
        x, std = segments(300), torch.tensor(STD)
        change_db = (gain(x, 6.0, std) - x) * std[:, None]
        db = change_db[:, :1, :1]
        torch.testing.assert_close(change_db, db.expand_as(change_db), atol=1e-4, rtol=0)
        assert db.abs().max() <= 6 + 1e-4
        assert db.min() < -5.5
        assert db.max() > 5.5
        assert db.mean().abs() < 0.6

    def test_gain_of_unscaled_features_is_in_db(self):
        torch.manual_seed(0)
        x = segments(20)
        change = gain(x, 3.0, torch.tensor([1.0])) - x
        torch.testing.assert_close(change, change[:, :1, :1].expand_as(change), atol=1e-5, rtol=0)


class TestNoise:
    """White noise with the given standard deviation."""

    def test_noise_is_white_with_the_given_std(self):
        x = segments(200)
        change = (augmented({"noise": 0.2}, x)[0] - x).double().numpy()
        assert change.std() == pytest.approx(0.2, rel=0.02)
        assert abs(change.mean()) < 0.005
        flat = change.reshape(len(x), -1)
        assert abs(np.corrcoef(flat[:, 0], flat[:, 1])[0, 1]) < 0.3
        assert abs(np.corrcoef(flat[0], flat[1])[0, 1]) < 0.2


class TestSpecAugment:
    """Frequency and time masks, which are set to the mean."""

    def masked(self, x: Tensor, **changes) -> np.ndarray:
        """Return where each segment was changed; assert that it has its mean there."""
        none = {"freq_masks": 0, "max_bins": 0.3, "time_masks": 0, "max_frames": 0.3}
        found = specaugment(x, SpecAugment(**{**none, **changes}))
        masked = found != x
        mean = x.mean(dim=(-2, -1), keepdim=True).expand_as(x)
        torch.testing.assert_close(found[masked], mean[masked])
        return masked.numpy()

    @pytest.mark.parametrize("share", [0.1, 0.3, 0.8])
    def test_frequency_mask_is_contiguous_and_limited_in_width(self, share):
        torch.manual_seed(0)
        masked = self.masked(segments(800), freq_masks=1, max_bins=share)
        assert (masked == masked[:, :, :1]).all()
        rows = masked[:, :, 0]
        width = rows.sum(axis=1)
        assert width.max() <= math.ceil(share * N_BINS)
        assert width.max() >= math.floor(share * N_BINS)
        assert (np.abs(np.diff(rows.astype(int), axis=1)).sum(axis=1) <= 2).all()
        if share > 0.2:
            assert len(set(width.tolist())) >= share * N_BINS - 1

    @pytest.mark.parametrize("share", [0.1, 0.3, 0.8])
    def test_time_mask_is_contiguous_and_limited_in_width(self, share):
        torch.manual_seed(0)
        masked = self.masked(segments(400), time_masks=1, max_frames=share)
        assert (masked == masked[:, :1]).all()
        columns = masked[:, 0]
        width = columns.sum(axis=1)
        assert width.max() <= math.ceil(share * N_FRAMES)
        assert width.max() >= 0.9 * share * N_FRAMES - 1
        assert (np.abs(np.diff(columns.astype(int), axis=1)).sum(axis=1) <= 2).all()

    def test_several_masks_are_drawn(self):
        torch.manual_seed(0)
        masked = self.masked(segments(200), freq_masks=2, max_bins=0.3, time_masks=3, max_frames=0.2)
        rows, columns = masked.all(axis=2), masked.all(axis=1)
        assert (masked == rows[:, :, None] | columns[:, None]).all(), "something else is changed"
        runs = (np.diff(columns.astype(int), axis=1, prepend=0) == 1).sum(axis=1)
        assert runs.max() == 3
        assert rows.sum(axis=1).max() <= 2 * math.ceil(0.3 * N_BINS)
        assert rows.sum(axis=1).max() > math.ceil(0.3 * N_BINS)

    def test_zero_masks_change_nothing(self):
        assert not self.masked(segments(20)).any()

    def test_each_channel_has_its_own_mean(self):
        torch.manual_seed(0)
        x = segments(20, 2) + torch.tensor([0.0, 50.0])[:, None, None]
        found = specaugment(x, SpecAugment(freq_masks=1, max_bins=1.0, time_masks=0, max_frames=0.1))
        changed = found != x
        mean = x.mean(dim=(-2, -1), keepdim=True).expand_as(x)
        torch.testing.assert_close(found[changed], mean[changed])


class TestMixup:
    """Segments and their targets are mixed in the same shares."""

    def solved(self, x: Tensor, found: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return the share of each of `x` in each mixture, by least squares."""
        basis = x.flatten(1).double().numpy().T
        shares, rest, *_ = np.linalg.lstsq(basis, found.flatten(1).double().numpy().T, rcond=None)
        assert rest.max(initial=0) < 1e-6
        return shares.T, rest

    @pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
    def test_targets_have_the_shares_of_the_segments(self, alpha):
        torch.manual_seed(0)
        x, target = segments(60), targets(60)
        found, mixed = mixup(x, target, alpha)
        shares, _ = self.solved(x, found)
        assert ((np.abs(shares) > 1e-4).sum(axis=1) <= 2).all(), "more than two segments are mixed"
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(mixed, shares @ target.numpy(), atol=1e-4)
        np.testing.assert_allclose(mixed.sum(dim=1), 1, atol=1e-6)
        assert (mixed >= 0).all()
        partners = np.abs(shares - np.diag(np.diag(shares))).argmax(axis=1)
        assert len(set(partners.tolist())) > 30, "too few partners"

    @pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
    def test_shares_follow_the_beta_distribution(self, alpha):
        """Beta(a, a) has mean 1/2 and variance 1 / (4 * (2 * a + 1))."""
        torch.manual_seed(0)
        n = 4000
        target = torch.eye(n)  # one class per segment, so that targets are the shares
        _, mixed = mixup(torch.zeros(n, 1, 1), target, alpha)
        share = mixed.diagonal()
        assert share.mean().item() == pytest.approx(0.5, abs=0.02)
        assert share.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)

    @pytest.mark.parametrize("alpha", [1e-6, 1e-3, 1e6])
    def test_extreme_alpha_gives_valid_shares(self, alpha):
        torch.manual_seed(0)
        found, mixed = mixup(segments(100), targets(100), alpha)
        assert torch.isfinite(found).all()
        torch.testing.assert_close(mixed.sum(dim=1), torch.ones(100))


def test_masks_are_applied_after_noise():
    how = {
        "noise": 0.5,
        "specaugment": {"freq_masks": 0, "max_bins": 0.1, "time_masks": 1, "max_frames": 1.0},
    }
    found, _ = augmented(how, torch.zeros(40, N_BINS, N_FRAMES))
    masked = (found.std(dim=1) < 1e-6).any(dim=1)
    assert masked.sum() > 20


class TestRefusals:
    """Augmentations that do not suit the feature are refused."""

    @pytest.mark.parametrize("name", sorted(set(NAMES) - {"shift"}))
    def test_codes_allow_only_shift(self, name):
        with pytest.raises(EncoreError) as refused:
            check_augmentation(recipe(augment={name: ALONE[name]}), "mel_levels", "code", is_codes=True)
        assert str(refused.value) == (
            f"params.yaml: augment.{name} does not work on codes, which mel_levels is; augment.shift does"
        )

    def test_shift_of_codes_is_allowed(self):
        check_augmentation(recipe(augment={"shift": 0.5}), "mel_levels", "code", is_codes=True)
        check_augmentation(recipe(), "mel_levels", "code", is_codes=True)

    @pytest.mark.parametrize(("unit", "shown"), [("1", "1"), ("", "no unit")])
    def test_gain_needs_a_feature_in_db(self, unit, shown):
        with pytest.raises(EncoreError) as refused:
            check_augmentation(recipe(augment={"gain_db": 6.0}), "chroma", unit, is_codes=False)
        assert str(refused.value) == (
            "params.yaml: augment.gain_db needs a feature in dB that is not scaled segment by segment; "
            f"chroma is in {shown}, train.scaler is 'bins'"
        )

    def test_gain_with_the_example_scaler_is_refused(self):
        how = recipe(train={"scaler": "example"}, augment={"gain_db": 6.0})
        with pytest.raises(EncoreError, match=r"train\.scaler is 'example'"):
            check_augmentation(how, "mel", "dB", is_codes=False)

    @pytest.mark.parametrize("scaler", ["bins", "none"])
    def test_features_in_db_allow_everything(self, scaler):
        check_augmentation(recipe(train={"scaler": scaler}, augment=ALONE), "mel", "dB", is_codes=False)

    @pytest.mark.parametrize("name", sorted(set(NAMES) - {"gain_db"}))
    def test_other_features_allow_everything_but_gain(self, name):
        check_augmentation(recipe(augment={name: ALONE[name]}), "chroma", "1", is_codes=False)


@pytest.mark.parametrize("share", [0.2, 0.3, 1.0])
def test_masks_are_symmetric_and_reach_every_bin_and_frame(share):
    torch.manual_seed(0)
    x = torch.randn(4000, 13, 20)
    for axis, how in (
        (1, SpecAugment(freq_masks=1, max_bins=share, time_masks=0, max_frames=1.0)),
        (2, SpecAugment(freq_masks=0, max_bins=1.0, time_masks=1, max_frames=share)),
    ):
        masked = (specaugment(x, how) != x).all(dim=3 - axis)
        often = masked.double().mean(dim=0)
        assert often.min() > 0
        assert (often - often.flip(0)).abs().max() < 0.05
        size = x.shape[axis]
        width = masked.sum(dim=1)
        assert width.max() <= share * size
        assert set(width.tolist()) == set(range(int(share * size) + 1))


def test_single_frame_is_not_cropped():
    x = torch.randn(3, 4, 1)
    assert torch.equal(time_resized_crop(x, 0.5), x)
