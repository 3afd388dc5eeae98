"""`python -m winner_ns` is `winner-ns`, also for torchrun: torchrun --nproc-per-node 2 -m winner_ns fit photo.jpg"""

import sys

from winner_ns.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
