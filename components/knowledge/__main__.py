"""Encode the definitions of the vocabulary into the two books.

knowledge.text_encoder names any Hugging Face BERT, by folder or hub name. Where it is null, a small BERT is trained on
the reports of the archive's training patients and on the definitions. Reads data/inventory and the archive's reports;
writes models/knowledge.
"""

from components.core.command import stage_command
from components.knowledge.stage import run

if __name__ == "__main__":
    stage_command("knowledge", run, __doc__)
