DROP TABLE raised_assets;
DROP TABLE unfilled;
