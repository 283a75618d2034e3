extension DataSource {
    /// Tables, recommendation, relational data.
    static let tables: [DataSource] = [
        DataSource(
            "california_housing", title: "House prices of California's districts, census of 1990",
            homepage: "https://github.com/ageron/handson-ml",
            licence: "Apache-2.0 for the repository; data: none stated",
            notes: "total_bedrooms has missing values.",
            files: DataFile.table(
                """
                housing.csv 1423529 8a3727f4cf54ac1a327f69b1d5b4db54c5834ea81c6e4efc0d163300022a685e
                """, base: "https://raw.githubusercontent.com/ageron/handson-ml/master/datasets/housing/")),
        DataSource(
            "adult", title: "Adult: census income",
            homepage: "https://github.com/jbrownlee/Datasets",
            licence: "none stated in the repository (UCI Adult)",
            notes: "Without header; '?' marks a missing value.",
            files: DataFile.table(
                """
                adult-test.csv 2003132 72567b94f5c1a6f8501377dd80f93892c3848ff071cf91ba47e00b0785a28074
                adult-train.csv 3974305 5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d
                adult.names 5229 c248284c0b5de30c9e1958d6cdd168a34a654758b620e68f46aefa83fc0a576a
                """, base: "https://raw.githubusercontent.com/jbrownlee/Datasets/master/")),
        DataSource(
            "diamonds", title: "Prices of diamonds",
            homepage: "https://github.com/mwaskom/seaborn-data",
            licence: "none stated",
            files: DataFile.table(
                """
                diamonds.csv 2772143 9574730b03aba241d899c4a97511c5061b19358fab89510774fb6c24168345c4
                """, base: "https://raw.githubusercontent.com/mwaskom/seaborn-data/master/")),
        DataSource(
            "seaborn", title: "The example tables of seaborn",
            homepage: "https://github.com/mwaskom/seaborn-data",
            licence: "none stated",
            files: DataFile.table(
                """
                diamonds.csv 2772143 9574730b03aba241d899c4a97511c5061b19358fab89510774fb6c24168345c4
                flights.csv 2350 237d834127d9c6355630d8f443a7a2377b5925923010009b59809ba0b67f4fac
                mpg.csv 21222 c14b8b855ea7ee86cb9736bf8caaf281c4685ca08826f3eb2acaccaaf40f0d5a
                penguins.csv 13478 e07636bd8af74260099ea2f8678e2eabbf35def579940cc76f67061ee16c06c1
                taxis.csv 869349 08d6d71784dbaa2651fee37fc03389754194c05d72d2d19cbc2c799dea6ac09d
                tips.csv 9729 e54cc4d2ce1bff65d32ca60b3e4b802e06bde1d7e7caf6f796f6bf7370e863b0
                titanic.csv 57018 81787d320d7f7b03df935e91de8bd19e11d45c5bbcab86ef4d4a76dc91b7d4f2
                """, base: "https://raw.githubusercontent.com/mwaskom/seaborn-data/master/")),
        DataSource(
            "uci", title: "Small tables of the UCI repository",
            homepage: "https://github.com/jbrownlee/Datasets",
            licence: "none stated in the repository; the .names files give origins",
            notes: "Without header unless it is a series; the last column is the target.",
            files: DataFile.table(
                """
                abalone.csv 191872 eb2de13be807e9bb9ec4128b9c89b98ab23d7739121cfd17b7dde69b46ba7bf6
                abalone.names 4319 542eee5a2a0ee72db563de010dc3b5055b03c5dc624049ae1f2208fc66a14aac
                airline-passengers.csv 2180 8cb51be753a718d9be5d76d7e238cc224792754676adc21faa59e954b0201621
                airline-passengers.names 148 d195d0deb285e0c1f64244c729b40523618ba507e5ba31ca19ce0d1aadbc9460
                auto-insurance.csv 495 d9e3760422d50a8b68176cc233c8b8889badc017f38a1551f2f4ec3efcd9ebe4
                auto-insurance.names 364 b67e41ac8afbaf979b021c016b5ae4f3c99c5daf3a223837b22925683462dd80
                auto_imports.csv 25451 bf76211fc32da0a927334e690e8f59e42c6b11ee281f9bed8a6ecdfe4bd70f31
                auto_imports.names 4747 cc46be835f433f90334c2a7f4183ba4a48eb5077ece85458322a421eeba12ffc
                banknote_authentication.csv 46400 d0539aaed2139ba7a587b3e34fb345ce503ff7d5d33dbf9912d8e195ce425cb9
                banknote_authentication.names 820 bfe38a04e2660fff632e9ea592c4bd85b65e79ac7bed39a54b8becd4139e0ed0
                breast-cancer-wisconsin.csv 14486 9c9dc50e62dbcece16e5707bdec7514f87230d0aa35798b9aaffbc77cf736f1f
                breast-cancer-wisconsin.names 5657 4bcd6e4e0e4f8ae54e313ebbf18013cc83b6827a207123707687f8f19d29dd2c
                breast-cancer.csv 24373 4523656d14e91168a602301490a8c89674a9b14384c29a5f652ba1a2bec844a9
                breast-cancer.names 3162 eb544d1c0f4e8c7323f9cd1fd6bbb95a3aa2b243f2810f80db641650a214b365
                creditcardfraud.names 3801 87ba76f5fa3fd778ed9eb06cc82db4e0aac95356faacbf19d29c79071a7ca873
                daily-max-temperatures.csv 69359 4f4ab4d6134d9c0f8efb3d6af6edc30a0ad3c56573d0f20f45db010055d0371c
                daily-max-temperatures.names 156 fe767da57a6fd9ef24983e83052914efce4100f4f54963ed9f907228afa4e80b
                daily-min-temperatures.csv 67921 8b9de63ed6789492bf497625e7f9beb96a63d367b4b0a21754006f749fa5e5da
                daily-min-temperatures.names 142 0b7d97f84cba1f04c92560332d077e82c157267344e3c06a4474ceafc5951158
                daily-total-female-births.csv 6220 7a0c1bdb32d68f7fa359e561a4f7e1fe8fb2fc26a1ea624a434a97a63735dd72
                daily-total-female-births.names 103 79ae9fb8f09758d90695105f3241ad4502d1b75f52ffa05b6d7679f9da49db45
                ecoli.csv 12811 26836c66779f5ce2b0c4d21c0667dcfb89f2a408e3cdac7e38dbc63e0abd5691
                ecoli.names 3022 39e5e341c483bb1dca54b59eef4dbf270b96da166711888bc9fc14196de8cde3
                german.csv 79793 ec12a88b9fc14d74ba646ea0410cf7ff4533bec2eb61652f8ad76796bbfec017
                german.names 4679 69b92cb551111bc37098698288849c96f0fd87ce81a2e54451ff39aa1e53fe49
                glass.csv 11154 1b7039aa2d617c1827e790b55d45ac138dce06b5f2a3fb6c25f2f135b59ad2d0
                glass.names 3506 5921d4b93ed323aa092a2c17cc0bab3bafbf66b7085f5d98880d9c5ea0c51d42
                haberman.csv 3103 b4b7a32586a5668f9f4d6dc8be9d1bc8cd4822523affb1f6b5bfc350681ef3e2
                haberman.names 1368 7b797a43e1c4b2243f1097a63ccab12444ab5510c2aa1333b6647635d259b137
                horse-colic.csv 25151 6ea4b4e9819f56dd021bea06d4a56c711825d0e6e33bc0cfc183f054fc4256d6
                horse-colic.names 9011 1705de0aa502a130664e1fe1b7ce0618e31a48476ef7dd89e62a808ca3567f13
                housing.csv 41295 2682ca02e83b89467d7d0cdcbde7c0cc4d2566119be8ce8d84dad4f0fa20859a
                housing.names 2080 e34759df81bce6c916aa2766b2b2d44a88c47d81b322517377714ee5cd64adcf
                ionosphere.csv 76466 fd6dd7864b55d56dac0a1e6e24af9ccc35bf2555ac79af8ab9f3d1daa065ab83
                ionosphere.names 3116 a368e4fd9b910a3ac97fa306add17446c13105367e17f5b691455db2ea8411cf
                iris.csv 4549 f5d0c11e5c78a69a20dbb80baf2b24703f59a6687595752abb397d23732647c5
                iris.names 2998 71a09fb3ee237614cdb9c09d06e8ae1f610ce2a274c0d77272fea8a233e5eea3
                mammography.csv 827904 7d3dea3f075f30bbdbb8980e7725684059b4fe3d0f850fadd0f635f6993d8730
                mammography.names 385 348cefa150239f9bc8d08f164203834284e2290fe962e325e02c66b051b5dd4b
                monthly-shampoo-sales.csv 519 f709eaa344b2d07039a49e2193cbff5e56206354f3a8203c0e02471beb39a451
                monthly-shampoo-sales.names 128 2e08838691143c344e72494551a96d6fd232dd0d0524c068989ce3899ee0bc76
                monthly-sunspots.csv 45039 c4ec8cc57d9f6fb6ecdb3e1f37f25b6f4badd5124c55931052b0cd2fc3bc71f3
                monthly-sunspots.names 112 5ddf46b4bd9ab847c43603576451acee1a8cb60bbb0e28db8eaa8e554c28fa4b
                new-thyroid.csv 4843 b1e244cdb7764210cfbf2888c47a4a558c36acd3c5e25452c0255c09c0b2c0a0
                new-thyroid.names 2365 961d26be68b59c6111e83a2c3d0787ccde8a292986b6de2e88b952f01b06078a
                oil-spill.csv 230924 acd090bfa475d6247183c53683a344235136e4e9133d99259ae7fe692870c0f0
                oil-spill.names 246 8885544bdde58a3631b445dbc29c75b570b7ee429909653dec670bc5f505b701
                phoneme.csv 174717 eacbb9f7a2b2135d067bff28ed7b9adb760f61f5e91f375f91e22e7e42ace24d
                phoneme.names 8202 3279a26791e79e7c0ca643837062b7b9c7fb3b8cc07d9cf5997902895898d311
                pima-indians-diabetes.csv 23278 6bfe5d0f379d17a0e0819b996407e3c09bf80febd4287f2ed212190dfff154af
                pima-indians-diabetes.data.csv 23278 6bfe5d0f379d17a0e0819b996407e3c09bf80febd4287f2ed212190dfff154af
                pima-indians-diabetes.names 3066 60d1939616d51c185add571f935309973eed52eb33a31764aaeeef18745374c5
                pollution.csv 2010492 892e9559205d16d32623135c127a3951c12e46ea1e0b3093e107ce89a9fd60e2
                pollution.names 1110 45699ff87f13a3e4bf978176f3491edb1b0a6b3b50dc819a8473bedb10451be3
                shampoo.csv 519 f709eaa344b2d07039a49e2193cbff5e56206354f3a8203c0e02471beb39a451
                shampoo.names 128 2e08838691143c344e72494551a96d6fd232dd0d0524c068989ce3899ee0bc76
                sonar.csv 87775 3079c09b5d2789a0f96aff82c28e5164fafe2495c5f8da96c6c256c1bd25763f
                sonar.names 5872 f3d650ae9772b1a5021d977fe9f8194259f3dddec1922128c8104cf1c4e7250f
                wheat-seeds.csv 9301 8dbd1853a4439afc113cfe07f290422c7ce3fe48745d71f3f7eaa027cd38fd6e
                wheat-seeds.names 1992 4967bdb1249d2c22bbdaee777e17c35c010ee11a0a449187c2296bf5a9ee94a4
                wine.csv 10782 e9c16b779f9194945067f65118da6afb317ef60c6515879c50124dc4f6cdd756
                wine.names 3036 f1b84f2ef845e0bdebf13e14fa7a213e56de4f1baa40c5974dbd1ee51c5ae710
                winequality-red.csv 84028 c9614512e980f1cbd221c796daa97f00c4898c3cd1716863abac60f6cd1a522e
                winequality-white.csv 264255 659d419fff887f225bf977d20520bb64a64cae203e460087f809721d4430ba27
                winequality.names 3305 15d215e73b39105952380fd487e4ce1bf5a6b83a425abb285c2ec55193d3ca92
                """, base: "https://raw.githubusercontent.com/jbrownlee/Datasets/master/")),
        DataSource(
            "sklearn", title: "The small tables that scikit-learn ships, from other copies",
            homepage: "https://archive.ics.uci.edu",
            licence: "MIT/Apache-2.0 (diabetes); the others: none stated",
            notes: "wdbc.data is reformatted: id, 30 features, then malignant and benign as 0/1.",
            files: DataFile.table(
                """
                diabetes_data.csv.gz 24330 0165b797dd4d77320f1851eca069cc2732655cecf73675de742c956d420b2a32
                diabetes_target.csv.gz 1176 5a9e14ec735e713dffa319d527252210848f3adda4e7e2ad400d9f4bd8ddd692
                optdigits.tes 264713 85f89a0333cbbcf5b1a42f3d4d74013ee35f5e44dbeb5f9b54f78ce5b4f94910
                wdbc.data 125281 35828135d16cd256eb645f2f37f371199bf77182856eeae5875d076050af772f
                """)),
        DataSource(
            "movielens-100k", title: "MovieLens 100K: film ratings",
            homepage: "https://grouplens.org/datasets/movielens/100k/",
            licence: "GroupLens terms: no redistribution without permission, no commercial use",
            notes: "u.item is Latin-1, separated by '|'.",
            files: DataFile.table(
                """
                README 6750 4883b8cf340ed0059971b33f56ad3adc88a40792108ebca3d24aafc4c82e8b52
                u.data 1979173 06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490
                u.genre 202 9757e0d3e6b298159a80dd48eaf938114690e911e39af97a76949ef1663610bb
                u.info 36 5b0a40b2e47a729ee6203063f6dcf8790c2e63f5a18663e6ee318a72c5f3c27b
                u.item 236344 553841ebc7de3a0fd0d6b62a204ea30c1e651aacfb2814c7a6584ac52f2c5701
                u.occupation 193 cd5fbec9afe345d993a62fc7817df1a4a9079c4feb267b3118763b8fd942137d
                u.user 22628 f120e114da2e8cf314fd28f99417c94ae9ddf1cb6db8ce0e4b5995d40e90e62c
                """)),
        DataSource(
            "chinook", title: "Chinook: a music shop's database",
            homepage: "https://github.com/lerocha/chinook-database",
            licence: "LICENSE.md in the repository",
            files: DataFile.table(
                """
                Chinook_Sqlite.sqlite 1007616 7651ba378ac2fcd0dfc3c66fb101f7a7eed3ba39a612ec642b96e20702061f15
                """)),
        DataSource(
            "f1", title: "Formula 1 results, 11 related tables",
            homepage: "https://github.com/JE-Classrooms/f1_data",
            licence: "none stated (Ergast)",
            notes: "Latin-1; dates are m/d/yyyy.",
            files: DataFile.table(
                """
                circuits.csv 5373 a3198b02bbee4f96ecdfb965878377b90a26e3777f445078a38dff4550418da8
                constructor_results.csv 184546 3639033764f6ba38d6c0af067ff9fa3d73f4bf45e9c66e7a5a0035a37811d744
                constructor_standings.csv 260831 62b79db6a82c07314f605ed745ee03f168c14da3b6b684be76f7de81d45407c7
                constructors.csv 6446 8fb76117944a9db2cd87978819a212695ca81abe7a605d7f0586e07e91dfd5a4
                driver_standings.csv 727044 5aa03329094c3764660f82aa2e268129c03fe9048538a71da268797e3a9aa42e
                drivers.csv 41350 8543a7d77274d803d12474f3aa0b03ffeed062f568a4b0d06e3468377bb8337c
                pit_stops.csv 247554 8a8674a7c7e4868720da62b2d370fa212f897ede41686c7d220aababcf0937cc
                qualifying.csv 196641 c5eb5bf5dbac0e10c82a5018324d819fa91b96567052f2694bdabf317f5a07fb
                races.csv 48439 04b2d4f09efb1622a614d1f5d7885fbf46e28dd0f482c31bd3566f7a93003a73
                results.csv 1157949 b8b70a33f4510157d1f7f51bfe6773a44b2722369f53b03e0a8a7cab7a2c2a35
                status.csv 2136 c36b1287f2421a288c38b0ce875d6ed04ff26bbda3e06db3d99e12197ea894aa
                """)),
    ]
}
