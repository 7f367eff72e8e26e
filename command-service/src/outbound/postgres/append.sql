SELECT
    what        AS "what!",
    "position"  AS "position?",
    key         AS "key?",
    request     AS "request?",
    stream_id   AS "stream_id?",
    version     AS "version?",
    seq         AS "seq?",
    lane        AS "lane?",
    created     AS "created?"
FROM append(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26,
    $27, $28, $29, $30, $31, $32, $33
)
