#!/bin/bash
# How a world ends: each way a rank can fail or go, the code mpirun gives, how long
# it takes, and that no process is left.
cd "$(dirname "$0")/../.." || exit 1
. tests/mpi/ends.sh "${MPI_COMM:-build/release/tests/mpi_comm}"

ends 43 10 4 end abort 2
ends 43 10 2 end abort 0 --delay 300
ends 48 10 3 end "abort by a thread" 1
ends 47 10 3 end "absent from agree" 1
ends 47 10 3 end "absent from split" 0
ends 47 10 2 end "absent sender" 1
ends 47 10 3 end "absent receiver" 0
ends 41 10 3 end shorter 1
ends 41 10 2 end longer 0
ends 41 10 3 end "other type" 2
ends 43 10 3 end "gives up" 1
ends 41 10 3 end "different collectives" 1
for odd in 0 1 2; do
    ends 33 10 3 die $odd
    ends 47 12 3 freeze $odd
done
ends 47 10 3 tardy 1
ends 9 10 4 leave 0 2
ends 9 10 3 leave 5 0
ends 9 10 3 leave 9 1
ends 9 10 3 leave 9 7 # nobody failed, all bring the same: nobody is ended by force
grep -q MPI_ABORT "$log" && echo "MPI_Abort where all agreed" && bad=1
exit $bad
