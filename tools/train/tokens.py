"""The tokenizer: a SentencePiece unigram model trained on captions of the world, with the release's
special pieces.
"""

import io

import sentencepiece
import torch

from . import captions, run

CAPTIONS = 20000


def train(plan, device, minutes):
    """Seconds of work; the same model from the same grammar."""
    lines = "\n".join(captions.of_seed(seed) for seed in range(CAPTIONS))
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=io.StringIO(lines),
        model_writer=model,
        vocab_size=plan.vocabulary,
        model_type="unigram",
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
    )
    path = run.folder(plan, "tokens")
    run.save_file(path / "spiece.model", lambda p: p.write_bytes(model.getvalue()))
    run.save_file(path / "finished.json", lambda p: p.write_text("{}\n"))
    return True


class Tokenizer:
    def __init__(self, plan):
        self.length = plan.text_len
        self.model = sentencepiece.SentencePieceProcessor(
            model_file=str(run.folder(plan, "tokens") / "spiece.model")
        )

    def size(self):
        return self.model.get_piece_size()

    def ids(self, texts):
        """[n,text_len]: pieces, </s>, padding; too long a text is cut with </s> kept last."""
        rows = [self.model.encode(text)[: self.length - 1] + [1] for text in texts]
        return torch.tensor([r + [0] * (self.length - len(r)) for r in rows])
