"""Id ranges, missing ids, conflicts and resets, against a plain definition over sets."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from log_assets.hour import Hour
from log_assets.records import ids

H = [Hour(f"2023-03-10-{number:02}") for number in range(24)]
SOME_IDS = st.lists(st.integers(-30, 60), max_size=60)


@given(SOME_IDS)
def test_ranges_hold_exactly_the_ids(numbers: list[int]) -> None:
    found = ids.ranges_of(numbers)
    assert {value for first, last in found for value in range(first, last + 1)} == set(numbers)
    assert all(b[0] - a[1] > 1 for a, b in pairwise(found))
    assert ids.count(found) == len(set(numbers))
    assert ids.duplicates(numbers) == sum(numbers.count(value) > 1 for value in set(numbers))


@given(SOME_IDS, SOME_IDS)
def test_subtract_is_set_difference(left: list[int], right: list[int]) -> None:
    assert ids.subtract(ids.ranges_of(left), ids.ranges_of(right)) == ids.ranges_of(list(set(left) - set(right)))


@given(st.lists(st.lists(st.integers(0, 400), max_size=40), max_size=8))
def test_without_a_reset_missing_is_what_no_hour_holds(batches: list[list[int]]) -> None:
    floor, hours = -1, []
    for hour, batch in zip(H, batches, strict=False):
        kept = [value for value in batch if value >= floor]
        hours.append((hour, ids.ranges_of(kept)))
        floor = min(kept, default=floor)
    seen = {value for _, ranges in hours for first, last in ranges for value in range(first, last + 1)}
    found = ids.compare(hours)
    missing = {v for gaps in found.missing.values() for first, last in gaps for v in range(first, last + 1)}
    assert missing == set(range(min(seen, default=0), max(seen, default=0))) - seen
    assert found.resets == []


def test_a_gap_belongs_to_the_hour_of_the_first_record_after_it() -> None:
    found = ids.compare([(H[0], [(1, 10)]), (H[1], []), (H[2], [(14, 20), (23, 23)])])
    assert found.missing == {H[2]: [(11, 13), (21, 22)]}


def test_a_counter_that_goes_back_behind_an_hour_is_a_reset_and_no_loss() -> None:
    found = ids.compare([(H[0], [(5000, 5999)]), (H[1], [(1, 400), (6000, 6499)]), (H[2], [(403, 900)])])
    assert found.missing == {H[2]: [(401, 402)]}
    assert [(reset.hour, reset.before, reset.after) for reset in found.resets] == [(H[1], 5999, 1)]


def test_a_step_of_more_than_a_million_is_a_reset_and_one_of_a_million_is_a_loss() -> None:
    lost = ids.compare([(H[0], [(1, 10)]), (H[1], [(1_000_010, 1_000_020)])])
    assert ids.count(lost.missing[H[1]]) == 999_999
    reset = ids.compare([(H[0], [(1, 10)]), (H[1], [(1_000_011, 1_000_020)])])
    assert reset.missing == {}
    assert [(r.hour, r.before, r.after) for r in reset.resets] == [(H[1], 10, 1_000_011)]


def test_an_id_in_two_hours_is_a_conflict_of_the_later_one() -> None:
    assert ids.compare([(H[0], [(1, 10)]), (H[1], [(9, 20)])]).conflicts == {H[1]: 2}


def test_ranges_read_well() -> None:
    assert ids.write([(1, 3), (7, 7), (-5, -2)]) == "1-3, 7, -5..-2"
