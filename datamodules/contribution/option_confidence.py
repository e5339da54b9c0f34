"""How sure a probe is of the option it holds likeliest, from the scores of options in its cache."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from configs.ablation import Condition, Replacement
from datamodules.contribution.probe_scores import earliest, encode, identities, read_shards

COLUMNS = (
    *("probe_key", "content_hash", "condition", "how", "option_seed", "first", "n"),
    *("n_correct", "n_unparsed", "time", "option_logprobs"),
)


def option_confidence(
    root: str | Path,
    key: str,
    content_hashes: Sequence[str],
    condition: Condition,
    how: Replacement,
    *,
    orders: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Read the probability of the likeliest option, among the options, and whether it was right.

    There is one of each for every content and order of options that was scored; of rows that repeat
    a score the earliest counts, as in `Scores`.
    """
    _, table = read_shards(root, key, COLUMNS)
    hashes = [bytes.fromhex(name) for name in dict.fromkeys(content_hashes)]
    wanted = pa.array(hashes, type=table.schema.field("content_hash").type)
    table = table.filter(
        pc.and_(
            pc.and_(
                pc.equal(table["condition"].cast(pa.string()), condition),
                pc.equal(table["how"].cast(pa.string()), how),
            ),
            pc.and_(
                pc.and_(
                    pc.is_in(table["content_hash"], value_set=wanted),
                    pc.less(table["option_seed"], orders),
                ),
                pc.greater(pc.fill_null(pc.list_value_length(table["option_logprobs"]), 0), 0),
            ),
        )
    )
    _, content = encode(table["content_hash"])
    identity, _ = identities(table, content)
    table = table.take(pa.array(earliest(table, identity)))
    return _likeliest(table["option_logprobs"]), np.asarray(table["n_correct"], dtype=np.int64)


def _likeliest(logprobs: pa.ChunkedArray) -> NDArray[np.float64]:
    """Divide the largest probability of each row by the sum of all of the row.

    max_o exp(l_o) / sum_o exp(l_o)  =  1 / sum_o exp(l_o - max l)
    """
    if not len(logprobs):
        return np.zeros(0)
    lengths = np.asarray(pc.list_value_length(logprobs), dtype=np.int64)
    values = np.asarray(pc.list_flatten(logprobs), dtype=np.float64)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    largest = np.repeat(np.maximum.reduceat(values, starts), lengths)
    shares: NDArray[np.float64] = 1 / np.add.reduceat(np.exp(values - largest), starts)
    return shares
