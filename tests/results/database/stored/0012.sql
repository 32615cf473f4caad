BEGIN TRANSACTION;
CREATE TABLE mlg_alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT mlg_alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "mlg_alembic_version" VALUES('0012');
CREATE TABLE mlg_epoch (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	trial_id INTEGER NOT NULL, 
	epoch INTEGER NOT NULL, 
	train_loss DOUBLE, 
	train_accuracy DOUBLE, 
	validation_loss DOUBLE, 
	validation_accuracy DOUBLE, 
	learning_rate DOUBLE, 
	epoch_s DOUBLE, 
	CONSTRAINT fk_mlg_epoch_trial_id_mlg_trial FOREIGN KEY(trial_id) REFERENCES mlg_trial (id) ON DELETE CASCADE, 
	CONSTRAINT uq_mlg_epoch_trial_id_epoch UNIQUE (trial_id, epoch)
);
INSERT INTO "mlg_epoch" VALUES(1,1,1,1.0,0.9,0.2,0.8,0.001,1.5);
INSERT INTO "mlg_epoch" VALUES(2,1,2,0.5,0.9,0.2,0.8,0.001,1.5);
CREATE TABLE mlg_lease (
	study_id INTEGER NOT NULL, 
	token BIGINT NOT NULL, 
	holder VARCHAR(255) NOT NULL, 
	host VARCHAR(255) NOT NULL, 
	pid INTEGER NOT NULL, 
	pid_started DOUBLE NOT NULL, 
	acquired_unix_s DOUBLE NOT NULL, 
	expires_unix_s DOUBLE NOT NULL, process VARCHAR(255), waits_for TEXT, 
	CONSTRAINT pk_mlg_lease PRIMARY KEY (study_id), 
	CONSTRAINT fk_mlg_lease_study_id_mlg_study FOREIGN KEY(study_id) REFERENCES mlg_study (id) ON DELETE CASCADE
);
INSERT INTO "mlg_lease" VALUES(1,0,'','',0,0.0,0.0,0.0,NULL,NULL);
CREATE TABLE mlg_study (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	name VARCHAR(128) NOT NULL, 
	content TEXT NOT NULL, 
	content_hash VARCHAR(128) NOT NULL, 
	source TEXT NOT NULL, 
	objectives TEXT NOT NULL, 
	n_trials INTEGER NOT NULL, 
	teacher_hash VARCHAR(128) NOT NULL, 
	teacher_accuracy DOUBLE, 
	versions TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, teacher_test_accuracy DOUBLE, hypervolume_reference TEXT, layers TEXT, planned TEXT, data_hash VARCHAR(128), lineage TEXT, validation_samples INTEGER, ended TEXT, uncompressed TEXT, 
	CONSTRAINT uq_mlg_study_name UNIQUE (name)
);
INSERT INTO "mlg_study" VALUES(1,'digits','{"zeta":[1,2.5,null],"alpha":{"on":true,"text":"Gr\u00fc\u00dfe\n"}}','c0ffee','zeta: [1, 2.5, null]  # Ω
','["accuracy","memory_ratio"]',2,'beef',0.975,'{"torch":"2.14.1"}','2026-11-28 16:09:29.867988','2026-11-28 20:04:18.939989',NULL,'{"accuracy":0.0,"memory_ratio":1.0}','[]','[]','da7a','[{"at":"2026-11-28T16:09:29.900013+00:00","trials":2,"changes":["library torch: 2.14.0 -> 2.14.1"]}]',269,'trial 0 reaches search.stop.front_reaches: accuracy 0.9','25.0% are not compressed');
CREATE TABLE mlg_trial (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	study_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	settings TEXT NOT NULL, 
	hyperparameters TEXT NOT NULL, 
	fingerprint VARCHAR(128) NOT NULL, 
	seed BIGINT NOT NULL, 
	parameters BIGINT NOT NULL, 
	bits BIGINT NOT NULL, 
	parameter_ratio DOUBLE NOT NULL, 
	memory_ratio DOUBLE NOT NULL, 
	generation_macs BIGINT NOT NULL, 
	execution_macs BIGINT NOT NULL, 
	epochs_wanted INTEGER NOT NULL, 
	epochs_done INTEGER NOT NULL, 
	accuracy DOUBLE, 
	loss DOUBLE, 
	projection_error TEXT NOT NULL, 
	stage_seconds TEXT NOT NULL, 
	versions TEXT NOT NULL, 
	teacher_hash VARCHAR(128) NOT NULL, 
	reused_from INTEGER, 
	attempts INTEGER NOT NULL, 
	error TEXT, 
	created_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	updated_at DATETIME NOT NULL, packed_bytes BIGINT, layer_bits TEXT, layer_damage TEXT, latency_ms DOUBLE, peak_activation_bytes BIGINT, 
	CONSTRAINT fk_mlg_trial_study_id_mlg_study FOREIGN KEY(study_id) REFERENCES mlg_study (id) ON DELETE CASCADE, 
	CONSTRAINT uq_mlg_trial_study_id_number UNIQUE (study_id, number)
);
INSERT INTO "mlg_trial" VALUES(1,1,0,'COMPLETE','{"stem":[0,0,8,0,0],"layer1.0":[2,44,3,6,3]}','{"learning_rate":0.001,"optimiser":"radam","epochs":10}','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',4611686018427387904,12345,500000000,0.4,0.05,6000000000,7000000000,10,10,0.9,0.1,'{}','{}','{}','',NULL,0,NULL,'2026-11-28 16:09:29.881989','2026-11-28 16:09:29.881989','2026-11-28 16:09:29.881989',4321,'{"stem":8}','{}',1.5,12288);
INSERT INTO "mlg_trial" VALUES(2,1,1,'RUNNING','{"stem":[0,0,8,0,0],"layer1.0":[2,44,3,6,3]}','{"learning_rate":0.001,"optimiser":"radam","epochs":10}','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',4611686018427387905,12345,500000000,0.4,0.05,6000000000,7000000000,10,0,NULL,NULL,'{}','{}','{}','',NULL,0,NULL,'2026-11-28 16:09:29.888990',NULL,'2026-11-28 16:09:29.888990',NULL,'{}','{}',NULL,NULL);
CREATE TABLE mlg_verification (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	trial_id INTEGER NOT NULL, 
	seed BIGINT NOT NULL, 
	epochs INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	epochs_done INTEGER NOT NULL, 
	validation_accuracy DOUBLE, 
	test_accuracy DOUBLE, 
	packed_accuracy DOUBLE, 
	test_samples INTEGER, 
	packed_bytes BIGINT, 
	seconds DOUBLE, 
	versions TEXT NOT NULL, 
	error TEXT, 
	created_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	CONSTRAINT fk_mlg_verification_trial_id_mlg_trial FOREIGN KEY(trial_id) REFERENCES mlg_trial (id) ON DELETE CASCADE, 
	CONSTRAINT uq_mlg_verification_trial_id_seed_epochs UNIQUE (trial_id, seed, epochs)
);
INSERT INTO "mlg_verification" VALUES(1,1,1,10,'COMPLETE',10,0.91,0.9,0.9,270,7000,12.5,'{"torch":"2.14.1"}',NULL,'2026-11-28 16:09:29.893013','2026-11-28 16:09:29.893013');
CREATE INDEX ix_mlg_trial_study_id_updated_at_id ON mlg_trial (study_id, updated_at, id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('mlg_study',1);
INSERT INTO "sqlite_sequence" VALUES('mlg_trial',2);
INSERT INTO "sqlite_sequence" VALUES('mlg_epoch',2);
INSERT INTO "sqlite_sequence" VALUES('mlg_verification',1);
COMMIT;
