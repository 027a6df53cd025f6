-- Statement 1 of 2: lock, then read what the locks guard (migrations/0013_commit_lock_and_read.sql).
SELECT * FROM commit_lock_and_read($1, $2, $3, $4, $5, $6, $7, $8)
